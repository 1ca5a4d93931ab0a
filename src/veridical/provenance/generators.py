"""What generators write about a picture: prompt, model, hash, seed, out of their own formats.

Every reader takes the text of a mark and returns values by name; {} where the text is not what the
generator writes. Nothing is executed and nothing is looked up.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Values = dict[str, str]
_MOST_JSON = 2**21  # characters
_MOST_NODES = 2000
_PAIR = re.compile(r'\s*([A-Z][\w ()\-/.]{0,60}): ("(?:[^"\\]|\\.){0,5000}"|[^,]{0,1000})(?:,|$)')
_NAMED = {  # of A1111 and of the JSON formats, as they are shown
    "steps": "steps",
    "sampler": "sampler",
    "sampler_name": "sampler",
    "schedule type": "scheduler",
    "scheduler": "scheduler",
    "cfg scale": "cfg",
    "cfg_scale": "cfg",
    "cfgscale": "cfg",
    "guidance_scale": "cfg",
    "scale": "cfg",
    "seed": "seed",
    "size": "size",
    "width": "width",
    "height": "height",
    "model": "model",
    "base_model": "model",
    "model_weights": "model",
    "model hash": "model hash",
    "base_model_hash": "model hash",
    "model_hash": "model hash",
    "version": "version",
    "app": "app",
    "app_version": "version",
    "prompt": "prompt",
    "positive_prompt": "prompt",
    "c": "prompt",
    "negative_prompt": "negative prompt",
    "negativeprompt": "negative prompt",
    "uc": "negative prompt",
    "generation_mode": "mode",
    "request_type": "mode",
}


def a1111(text: str) -> Values:
    """Read `parameters`: prompt, a line of the negative prompt, and a line of settings."""
    head, found, tail = text.rpartition("Steps: ")
    if not found:
        return {}
    prompt, _, negative = head.partition("Negative prompt:")
    values = {"prompt": prompt.strip(), "negative prompt": negative.strip()}
    values |= _named(
        {k.lower(): v.strip(' "') for k, v in _PAIR.findall(f"Steps: {tail}"[:20_000])}
    )
    version = values.get("version", "")
    if values.get("app", "").startswith("SD.Next") or "sd.next" in text[-2000:].lower():
        values["program"] = "SD.Next"
    elif version.startswith("f") and version[1:2].isdigit():
        values["program"] = "Forge"
    return _kept(values)


def comfyui(text: str) -> Values:
    """Read the graph that was run: the sampler, and what its inputs lead back to."""
    graph = _object(text.removeprefix("prompt:"))
    nodes = {
        key: node
        for key, node in list(graph.items())[:_MOST_NODES]
        if isinstance(node, dict) and isinstance(node.get("inputs"), dict)
    }
    found: dict[str, Any] = {}
    for node in nodes.values():
        inputs, kind = node["inputs"], str(node.get("class_type", ""))
        for name in ("ckpt_name", "unet_name", "model_name"):
            if isinstance(inputs.get(name), str) and "Loader" in kind:
                found.setdefault("model", inputs[name])
        if "Sampler" in kind or "seed" in inputs or "noise_seed" in inputs:
            for name, shown in (
                ("seed", "seed"),
                ("noise_seed", "seed"),
                ("steps", "steps"),
                ("cfg", "cfg"),
                ("sampler_name", "sampler"),
                ("scheduler", "scheduler"),
            ):
                if isinstance(inputs.get(name), int | float | str):
                    found.setdefault(shown, inputs[name])
    for name, shown in (("positive", "prompt"), ("negative", "negative prompt")):
        for node in nodes.values():
            if told := _text_behind(nodes, node["inputs"].get(name), depth=12):
                found.setdefault(shown, told)
                break
    if "prompt" not in found:
        texts = [n["inputs"].get("text") for n in nodes.values()]
        longest = max((t for t in texts if isinstance(t, str)), key=len, default="")
        found["prompt"] = longest
    return _kept({**found, "nodes": len(nodes)} if nodes else {})


def _text_behind(nodes: Mapping[str, Any], link: object, *, depth: int) -> str:
    """Follow a link of the graph back to the first text."""
    if not isinstance(link, list) or not link or depth == 0:
        return ""
    inputs = nodes.get(str(link[0]), {}).get("inputs", {})
    for name in ("text", "text_g", "prompt", "string", "clip_l", "t5xxl"):
        value = inputs.get(name)
        if isinstance(value, str) and value:
            return value
        if isinstance(value, list) and (told := _text_behind(nodes, value, depth=depth - 1)):
            return told
    for name in ("conditioning", "conditioning_1", "positive", "conditioning_to"):
        if told := _text_behind(nodes, inputs.get(name), depth=depth - 1):
            return told
    return ""


def comfyui_workflow(text: str) -> Values:
    """Read the editor's drawing of the graph: how many nodes, of which kinds."""
    nodes = _object(text.removeprefix("workflow:")).get("nodes")
    if not isinstance(nodes, list):
        return {}
    kinds = sorted({str(n.get("type")) for n in nodes[:_MOST_NODES] if isinstance(n, dict)})
    return _kept({"workflow": f"{len(nodes)} nodes: {', '.join(kinds)}"})


def invokeai_dream(text: str) -> Values:
    """Read the command line of InvokeAI 1: a prompt in quotes, then switches."""
    prompt, _, switches = text.rpartition('"')
    flags = {
        "-s": "steps",
        "-S": "seed",
        "-W": "width",
        "-H": "height",
        "-C": "cfg",
        "-A": "sampler",
    }
    pairs = re.findall(r"(-[sSWHCA]) ?(\S{1,100})", switches[:2000])
    return _kept({"prompt": prompt.strip('"'), **{flags[flag]: value for flag, value in pairs}})


def invokeai_sd(text: str) -> Values:
    """Read `sd-metadata` of InvokeAI 2: the model above, the picture below."""
    data = _object(text)
    image = data.get("image")
    image = image if isinstance(image, dict) else {}
    prompt = image.get("prompt")
    if isinstance(prompt, list) and prompt and isinstance(prompt[0], dict):
        image = {**image, "prompt": prompt[0].get("prompt", "")}
    return _kept({**_named(image), **_named(data)})


def invokeai(text: str) -> Values:
    """Read `invokeai_metadata` of InvokeAI 3 and later."""
    data = _object(text)
    model = data.get("model")
    if isinstance(model, dict):  # its keys changed between versions
        name = model.get("model_name") or model.get("name") or model.get("key") or ""
        data = {**data, "model": name, "model_hash": model.get("hash", "")}
    return _kept(_named(data))


def flat(text: str) -> Values:
    """Read a flat JSON object with the usual names (Fooocus, NovelAI, Draw Things)."""
    return _kept(_named(_object(text)))


def swarmui(text: str) -> Values:
    """Read SwarmUI's `sui_image_params`."""
    inner = _object(text).get("sui_image_params")
    return _kept(_named(inner)) if isinstance(inner, dict) else {}


def midjourney(text: str) -> Values:
    """Read a description: the prompt, its switches, the job."""
    prompt, _, job = text.partition("Job ID:")
    version = re.search(r"--(?:v|version|niji) ?(\d[\w.]{0,8})", prompt[-2000:])
    return _kept(
        {
            "prompt": re.split(r"\s--\w", prompt, maxsplit=1)[0].strip(),
            "version": version[1] if version else "",
            "job": job.strip()[:36],
        }
    )


READERS: dict[str, Callable[[str], Values]] = {
    "a1111": a1111,
    "comfyui": comfyui,
    "comfyui_workflow": comfyui_workflow,
    "invokeai_dream": invokeai_dream,
    "invokeai_sd": invokeai_sd,
    "invokeai": invokeai,
    "fooocus": flat,
    "novelai": flat,
    "drawthings": flat,
    "swarmui": swarmui,
    "midjourney": midjourney,
}
"""By the name in the table of marks."""


def _object(text: str) -> dict[str, Any]:
    """Return a JSON object; an empty one for whatever else it is."""
    if len(text) > _MOST_JSON:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _named(data: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in list(data.items())[:500]:
        shown = _NAMED.get(key.lower())
        if shown and isinstance(value, str | int | float) and value != "":
            found.setdefault(shown, value)
    return found


def _kept(values: Mapping[str, Any]) -> Values:
    return dict(_strings(values))


def _strings(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if value != "" and value is not None:
            try:
                yield key, str(value)
            except ValueError:  # a number of more digits than Python writes
                continue
