"""Everything that can go wrong on purpose, in one tree.

    VeridicalError
    ├── PhotoError                 one picture cannot be judged; a batch goes on without it
    │   ├── PhotoMissing           no such file, or a folder
    │   ├── PhotoUnreadable        there, and the system will not let us read it
    │   ├── PhotoEmpty             zero bytes
    │   ├── NotAPhoto              bytes that no decoder knows
    │   ├── PhotoDamaged           an image that breaks off or contradicts itself
    │   ├── PhotoTooLarge          over the limits on bytes or pixels
    │   ├── PhotoTooSlow           took longer to decode than the limit
    │   └── FormatNotInstalled     a known format whose decoder is an extra
    ├── DataError                  a training or evaluation set cannot be used
    │   ├── ClassNamesUnclear      which class is real, which is AI-generated?
    │   ├── OneClassOnly           both are needed
    │   ├── TooFewPhotos           not enough to fit or to measure
    │   ├── Confounded             the classes can be told apart without looking at a face
    │   └── ManifestError          a CSV that does not say what it must
    ├── ModelError                 a model folder or a backbone cannot be used
    │   ├── ModelMissing           no such folder, or a file of it is absent
    │   ├── ModelDamaged           a hash or a shape is not what the card says
    │   ├── NotAViT                a backbone without a grid of patch tokens
    │   └── OtherBackbone          not the backbone that the model looks with
    ├── CaseError                  a report cannot be filed, or not be checked
    │   ├── CaseExists             the folder is there; a filed report is never overwritten
    │   ├── CaseUnreadable         no such folder, or no report in it
    │   └── LogBroken              a log of reports that does not hold together
    ├── ScanError                  results of a scan cannot be read or added to
    │   ├── ScanBusy               another scan writes into the folder
    │   └── ScanOther              the results are of another model, or other options
    ├── ServiceError               the service cannot answer a request now
    │   ├── Overloaded             it has as much to do as it can hold
    │   ├── WorkerLost             the process that judged has ended, or needed too much memory
    │   ├── DeadlinePassed         judging took longer than a request may take
    │   └── NotServing             it is starting or stopping
    ├── TokensUnusable             a list of tokens cannot be used
    ├── TrustListError             a list of certificates to trust cannot be used
    ├── MissingExtra               an optional package is needed and absent
    ├── FolderUnusable             a folder for results cannot be written to, or is too full
    ├── NotReady                   several things that the work needs are missing
    └── DeviceMissing              ONNX Runtime cannot use the device that was asked for

Every message says what came and what was wanted; every hint says what to do. Foreign errors are
translated where they cross into the package. A hint has two wordings, for Python and for the
command line; of one that names options the other is made here.
"""

import re

_OPTION = re.compile(r"(`[^`]*`|install --[\w-]+)|(?<![\w-])--([a-z][a-z-]*)")


class VeridicalError(Exception):
    """The root: `message` says what happened, `hint` what to do about it.

    Args:
        message: What came, and what was wanted.
        hint: What to do. If it names options, Python is told the arguments of these names: `cache`
            for --cache.
        cli_hint: What to do at the command line, where that is something else; None where `hint`
            is right there, too.
    """

    def __init__(self, message: str, *, hint: str, cli_hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if cli_hint else _OPTION.sub(_argument, hint)
        self.cli_hint = cli_hint or (hint if hint != self.hint else None)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}"

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip between processes with all sentences."""
        return _rebuild, (type(self), self.message, self.hint, self.cli_hint)


def _argument(option: re.Match[str]) -> str:
    return option[1] or f"`{option[2].replace('-', '_')}`"  # a command stays as it is


def _rebuild(
    kind: type[VeridicalError], message: str, hint: str, cli_hint: str | None
) -> VeridicalError:
    error = kind.__new__(kind)
    VeridicalError.__init__(error, message, hint=hint, cli_hint=cli_hint)
    return error


class PhotoError(VeridicalError):
    """One picture cannot be judged; a batch goes on without it."""


class PhotoMissing(PhotoError):
    """There is no such file, or it is a folder."""


class PhotoUnreadable(PhotoError):
    """The file is there, and the system will not let us read it."""


class PhotoEmpty(PhotoError):
    """The file has zero bytes."""


class NotAPhoto(PhotoError):
    """No image decoder knows these bytes."""


class PhotoDamaged(PhotoError):
    """The image breaks off, or contradicts itself."""


class PhotoTooLarge(PhotoError):
    """The picture is over the limits on bytes or pixels."""


class PhotoTooSlow(PhotoError):
    """Decoding took longer than the limit."""


class FormatNotInstalled(PhotoError):
    """A known format whose decoder is not installed."""


class DataError(VeridicalError):
    """A training or evaluation set cannot be used."""


class ClassNamesUnclear(DataError):
    """It is not clear which class is real and which is AI-generated."""


class OneClassOnly(DataError):
    """Only one of the two classes has pictures."""


class TooFewPhotos(DataError):
    """There are not enough pictures to fit or to measure."""


class Confounded(DataError):
    """The classes can be told apart without looking at a face."""


class ManifestError(DataError):
    """A manifest CSV does not say what it must."""


class ModelError(VeridicalError):
    """A model folder or a backbone cannot be used."""


class ModelMissing(ModelError):
    """There is no such model folder, or a file of it is absent."""


class ModelDamaged(ModelError):
    """A file of the model is not the one its card describes."""


class NotAViT(ModelError):
    """The backbone gives no grid of patch tokens."""


class OtherBackbone(ModelError):
    """A backbone was given that is not the one the model looks with."""


class CaseError(VeridicalError):
    """A report cannot be filed, or a filed one cannot be checked."""


class CaseExists(CaseError):
    """The folder is there; a filed report is never overwritten."""


class CaseUnreadable(CaseError):
    """There is no such folder, or no report that can be read in it."""


class LogBroken(CaseError):
    """A log of reports does not hold together."""


class ScanError(VeridicalError):
    """Results of a scan cannot be read or added to."""


class ScanBusy(ScanError):
    """Another scan writes into the folder."""


class ScanOther(ScanError):
    """The results in the folder are of another model, or of other options."""


class ServiceError(VeridicalError):
    """The service cannot answer a request now."""


class Overloaded(ServiceError):
    """The service has as much to do as it can hold."""


class WorkerLost(ServiceError):
    """The process that judged has ended, or needed too much memory."""


class DeadlinePassed(ServiceError):
    """Judging took longer than a request may take."""


class NotServing(ServiceError):
    """The service is starting or stopping."""


class TokensUnusable(VeridicalError):
    """A list of tokens cannot be used."""


class TrustListError(VeridicalError):
    """A list of certificates to trust cannot be used."""


class MissingExtra(VeridicalError):
    """An optional package is needed and absent."""


class FolderUnusable(VeridicalError):
    """A folder for results cannot be written to, or its disk is too full."""


class NotReady(VeridicalError):
    """Several things that the work needs are missing; `problems` has an error about each."""

    problems: tuple[VeridicalError, ...]

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        cli_hint: str | None = None,
        problems: tuple[VeridicalError, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, cli_hint=cli_hint)
        self.problems = problems

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip between processes with all problems."""
        return *super().__reduce__(), {"problems": self.problems}


class DeviceMissing(VeridicalError):
    """ONNX Runtime cannot use the device that was asked for."""
