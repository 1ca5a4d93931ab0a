"""What the tests of filed reports share: a picture's file, what an examiner gave, a model card."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from PIL import PngImagePlugin

from tests.present import made
from veridical.claims import Claim, ClaimSource, Credential, Says, Standing
from veridical.io.formats import Limits
from veridical.io.machine import this_machine
from veridical.io.source import File
from veridical.present.dossier import Basis, Dossier, Filing
from veridical.present.dossier_parts import dossier
from veridical.report import FaceResult, Report

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
MEASURED = {
    "test": {
        "pictures": "pictures of elsewhere",
        "n_real": 200,
        "n_ai": 300,
        "n_groups": 450,
        "real_called_ai": [0.01, 0.0, 0.02],
        "ai_called_ai": [0.6, 0.5, 0.7],
        "ai_called_real": [0.02, 0.01, 0.05],
        "real_called_real": [0.7, 0.6, 0.8],
        "coverage": [0.7, 0.6, 0.8],
        "error_when_decided": [0.02, 0.01, 0.04],
        "ece": [0.12, 0.1, 0.15],
    },
    "val": {
        "n_real": 500,
        "n_ai": 600,
        "real_called_ai": [0.0, 0.0, 0.04],
        "ai_called_ai": [0.7, 0.6, 0.8],
        "ai_called_real": [0.0, 0.0, 0.05],
        "real_called_real": [0.7, 0.5, 0.8],
        "ece": [0.03, 0.02, 0.04],
    },
}
FILING = Filing(at=AT, case="17", exhibit="3", examiner="A. Examiner", note="One.\nTwo.")
BASIS = Basis(model="ab" * 32, card={"measured": MEASURED}, version="0.1.0", machine=this_machine())
EXPLAINED = replace(made.FACE, explanation=made.explanation(made.spot(1, 1, 0.4)))

# What must not be in a redacted report, and must not do anything in any.
NAME = "Anna Secretname <img src=x onerror=alert(1)> #read(1) $x$ \u202egpj.exe\u200b.png"
TEXT = "Secretvalue *b* @ref <script>alert(2)</script> \x1b[31m =1+1 \u4e2d"
SECRETS = ("Secretname", "Secretvalue", "Secretkey", "Secretmaker", "Secretprofile", "Anna")


def png(**text: str) -> bytes:
    """A picture's file with text chunks."""
    info = PngImagePlugin.PngInfo()
    for key, value in text.items():
        info.add_itxt(key, value)
    into = io.BytesIO()
    made.image().save(into, "PNG", pnginfo=info)
    return into.getvalue()


def file(path: str = "portraits/anna.png", **text: str) -> File:
    return File(path=path, data=png(**text), limits=Limits())


def hostile() -> tuple[Report, File]:
    """A report on a picture whose name, metadata and claims are an attack, and private."""
    claim = Claim(
        source=ClaimSource.C2PA,
        says=Says.AI,
        standing=Standing.SIGNED_UNTRUSTED,
        by=f"Secretmaker {TEXT}",
        plain=f"Secretmaker says so. {TEXT}",
        technical=TEXT,
        raw={f"Secretkey {TEXT}": TEXT},
        credential=Credential(
            agents=(TEXT,), source_types=(TEXT,), signer="Secretmaker", state=TEXT, manifests=1
        ),
    )
    report = made.report(
        EXPLAINED,
        path=NAME,
        claims=(claim,),
        headline=f"Secretmaker signed it. {TEXT}",
        steps=(f"colour profile {'Secretprofile'!r} converted to sRGB",),
    )
    return report, file(NAME, Secretkey=TEXT)


def filed(
    *faces: FaceResult, filing: Filing = FILING, basis: Basis = BASIS, **changes: Any
) -> Dossier:
    """A dossier on these faces."""
    return dossier(made.report(*faces, **changes), file(), filing, basis)
