"""The REST interface, version 1."""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from veridical.io.clip_file import HEAD
from veridical.serve.described import BATCHED, INSPECTED, JOB, MODEL, VIDEO, problems, upload
from veridical.serve.gate import visit_of
from veridical.serve.kinds import check_clip
from veridical.serve.orders import Wish
from veridical.serve.service import Job, Service
from veridical.serve.tokens import Rates
from veridical.serve.uploads import LONGEST_NAME, read_form, read_one, read_to

NDJSON = "application/x-ndjson"


class Asked(BaseModel):
    """What to find out about every picture."""

    model_config = ConfigDict(extra="forbid")

    explain: bool = Field(False, description="Also a map of what supports the verdict.")
    cues: bool = Field(False, description="Also forensic cues. They change no verdict.")
    prior: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of AI-generated pictures where yours come from. Adds P(ai) at that "
        "share.",
        examples=[0.01],
    )
    whole_image: bool = Field(False, description="Judge the frame instead of the faces in it.")

    def wish(self, name: str = "") -> Wish:
        """Return it for the pool."""
        return Wish(
            explain=self.explain,
            cues=self.cues,
            prior=self.prior,
            whole_image=self.whole_image,
            name=name,
        )


class AskedOfOne(Asked):
    """The same, with a name for a picture that comes without one."""

    name: str = Field(
        "",
        max_length=LONGEST_NAME,
        description="Becomes `path` in the report, where the file comes without a name.",
        examples=["portrait.jpg"],
    )


class AskedOfClip(BaseModel):
    """What to find out about a clip."""

    model_config = ConfigDict(extra="forbid")

    explain: bool = Field(False, description="Also a map of the most telling look of each person.")
    prior: float | None = Field(None, gt=0, lt=1, description="As for pictures.", examples=[0.01])
    name: str = Field("", max_length=LONGEST_NAME, description="As for pictures.")
    page: bool = Field(False, description="Also a piece of HTML, as the page shows it.")


class Nothing(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid")


def router(service: Service, rates: Rates) -> APIRouter:
    """Return the routes of `/v1`."""
    routes = APIRouter(prefix="/v1")
    limits = service.settings

    @routes.post(
        "/inspect",
        summary="Judge a picture",
        responses=INSPECTED | problems(400, 401, 403, 408, 413, 415, 422, 429, 500, 503, 504),
        openapi_extra=upload("A picture."),
        response_class=Response,
    )
    async def inspect(request: Request, asked: Annotated[AskedOfOne, Query()]) -> Response:
        """Judge every face in a picture; the answer is what `veridical inspect --json` prints."""
        came = await read_one(request, limits.max_bytes, asked.name)
        answer = await service.judge(came.data, asked.wish(came.name))
        return Response(answer.body, media_type="application/json")

    @routes.post(
        "/batch",
        summary="Judge several pictures",
        responses=BATCHED | problems(400, 401, 403, 408, 413, 415, 422, 429, 500, 503),
        openapi_extra=upload("Pictures.", several=True),
        response_class=StreamingResponse,
    )
    async def batch(request: Request, asked: Annotated[Asked, Query()]) -> StreamingResponse:
        """Judge pictures; one line of JSON each, in order, as soon as it and those before are done.

        What cannot be judged gives a line of a Failure, and the others go on.
        """
        came = await read_form(request, limits.max_bytes, limits.max_batch_files)
        caller = visit_of(request).caller
        rates.spend(caller, -1)  # the gate took one, before it was known how many come
        rates.check(caller, len(came))
        rates.spend(caller, len(came))
        return StreamingResponse(service.batch(came, asked.wish()), media_type=NDJSON)

    @routes.post(
        "/videos",
        summary="Judge a clip",
        status_code=202,
        responses=VIDEO | problems(400, 401, 403, 408, 413, 415, 422, 429, 500, 503),
        openapi_extra=upload("A clip: a video, or an animated GIF, WebP or PNG."),
        response_class=Response,
    )
    async def videos(request: Request, asked: Annotated[AskedOfClip, Query()]) -> Response:
        """Begin to judge a clip; the job's address is in the header `Location`."""
        service.check_jobs()
        path = service.place()
        try:
            name = await read_to(request, path, limits.max_clip_bytes, asked.name)
            with path.open("rb") as file:
                check_clip(file.read(HEAD), name)
            wish = Wish(explain=asked.explain, prior=asked.prior, page=asked.page, name=name)
            job = service.begin(path, wish, visit_of(request).caller)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        headers = {"Location": f"jobs/{job.id}"}  # relative: a proxy may serve us below a path
        return _told(job, status=202, headers=headers)

    @routes.get(
        "/jobs/{id}",
        summary="How far a clip is",
        responses=JOB | problems(400, 401, 404, 422, 500, 503),
        response_class=Response,
    )
    async def job(request: Request, id: str, _none: Annotated[Nothing, Query()]) -> Response:  # noqa: A002
        """Return the state of a job, and the report once it is done."""
        return _told(service.job(id, visit_of(request).caller))

    @routes.delete(
        "/jobs/{id}",
        summary="Forget a clip",
        status_code=204,
        responses=problems(400, 401, 403, 404, 422, 429, 500, 503),
        response_class=Response,
    )
    async def drop(request: Request, id: str, _none: Annotated[Nothing, Query()]) -> Response:  # noqa: A002
        """Stop judging a clip, and forget the answer."""
        await service.drop(service.job(id, visit_of(request).caller))
        return Response(status_code=204)

    @routes.get(
        "/model",
        summary="The model",
        responses=MODEL | problems(400, 401, 422, 500, 503),
        response_class=Response,
    )
    async def model(_none: Annotated[Nothing, Query()]) -> Response:
        """Return the card of the model, as `veridical card --json` prints it."""
        return _json(limits.model or {})

    return routes


def _told(job: Job, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return what is known of a job; the report goes in as it was written."""
    known: dict[str, Any] = {"id": job.id, "state": job.state}
    if job.progress and job.state == "running":
        known |= {"stage": job.progress.stage, "progress": round(job.progress.share, 3)}
    if job.problem:
        known |= {key: job.problem.body()[key] for key in ("status", "error", "hint")}
    text = json.dumps(known).encode()
    if job.answer:
        text = text[:-1] + b', "report": ' + job.answer.body
        text += b', "html": ' + json.dumps(job.answer.page).encode() if job.answer.page else b""
        text += b"}"
    return Response(text, status, headers, "application/json")


def _json(value: object) -> Response:
    return Response(json.dumps(value).encode(), media_type="application/json")
