"""The models in Ollama's format: names, sizes, context lengths, capabilities."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import msgspec

from localagent import LocalAgentError, ModelInfo, Principal
from localagent.errors import ModelNotFound
from localagent.records import check_model_name
from localagent_gateway.apis.openai.api import shown
from localagent_gateway.apis.service import Service
from localagent_gateway.logs.addresses import redact_address

LATEST = ":latest"
NEVER = "9999-12-31T23:59:59Z"
_DETAILS = {"family": "family", "parameter_size": "parameter_size", "quantization_level": "quantization"}


class Listing:
    """Lists and describes the models as Ollama does.

    Args:
        service: Sends requests into the pipeline.
        since: The start of the gateway, given as the time of every model's last change, which is unknown.
    """

    def __init__(self, service: Service, since: str) -> None:
        self._service = service
        self._since = since

    async def tags(self, principal: Principal) -> dict[str, Any]:
        """Return the answer of ``/api/tags``: the models that the caller may use."""
        models = await self._known(principal)
        return {"models": [{**_row(model), "modified_at": self._since} for model in models]}

    async def loaded(self, principal: Principal) -> dict[str, Any]:
        """Return the answer of ``/api/ps``: the models that an instance reports as loaded."""
        everywhere = await self._service.listed()
        loaded = {model.name: model for model in everywhere if model.facts.get("loaded")}
        rows = [
            _loaded_row(model) for name, model in loaded.items() if principal.models is None or name in principal.models
        ]
        return {"models": rows}

    async def show(self, asked: str, principal: Principal) -> dict[str, Any]:
        """Return the answer of ``/api/show`` for one model.

        Raises:
            ModelNotFound: The model does not exist.
        """
        model = await self.find(asked, principal)
        architecture = str(model.facts.get("family") or "unknown")
        info: dict[str, Any] = {"general.architecture": architecture, "general.basename": shown(model)}
        if model.context_length is not None:
            info[f"{architecture}.context_length"] = model.context_length
        return {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": _details(model),
            "model_info": info,
            # A model without known capabilities is assumed to complete text.
            "capabilities": model.facts.get("capabilities") or ["completion"],
            "modified_at": self._since,
        }

    async def find(self, asked: str, principal: Principal) -> ModelInfo:
        """Return a model that the caller may use, by its name with or without ``:latest``.

        Raises:
            InvalidRequest: The name is not a valid model name.
            ModelNotFound: The model does not exist.
        """
        check_model_name(asked)
        models = {shown(model): model for model in await self._known(principal)}
        model = models.get(asked) or models.get(asked.removesuffix(LATEST)) or models.get(asked + LATEST)
        if model is None:
            raise ModelNotFound(f"The model {redact_address(asked)} does not exist.")
        return model

    async def name_of(self, asked: str, principal: Principal) -> str:
        """Return the name of a model in the pipeline; Ollama's clients append ``:latest`` to names.

        Args:
            asked: The client's name; one without ``:latest`` is returned unchanged.
            principal: The caller.

        Raises:
            InvalidRequest: The name is not a valid model name.
        """
        check_model_name(asked)
        short = asked.removesuffix(LATEST)
        runtime = await self._service.client.runtime()
        if short == asked or asked in runtime.settings.models:
            return asked
        if short in runtime.settings.models:
            return short
        provider, _, model = asked.partition("/")
        lists = [state.models for state in runtime.instances.of(provider)]
        if any(known is not None and model in known for known in lists):
            return asked
        if any(known is not None and model.removesuffix(LATEST) in known for known in lists):
            return short
        with contextlib.suppress(LocalAgentError):  # not known now: the instance will decide
            return shown(await self.find(asked, principal))
        return asked

    async def _known(self, principal: Principal) -> list[ModelInfo]:
        """Return the models that the caller may use; an alias is described by its targets."""
        models = await self._service.models(principal)
        aliases = (await self._service.client.runtime()).settings.models
        by_name = {model.name: model for model in models}
        return [
            model
            if model.provider
            else _described(model, [by_name[name] for name in aliases[model.id].targets if name in by_name])
            for model in models
        ]


def _described(alias: ModelInfo, targets: list[ModelInfo]) -> ModelInfo:
    """Return an alias with the facts of its first target, and the smallest context length, as any target may answer."""
    if not targets:
        return alias
    windows = [target.context_length for target in targets if target.context_length is not None]
    return msgspec.structs.replace(alias, facts=targets[0].facts, context_length=min(windows, default=None))


def _row(model: ModelInfo) -> dict[str, Any]:
    name = shown(model)
    return {
        "name": name,
        "model": name,
        "size": model.facts.get("size") or 0,
        # Clients show a part of it. It identifies the name, not a file.
        "digest": hashlib.sha256(name.encode()).hexdigest(),
        "details": _details(model),
    }


def _loaded_row(model: ModelInfo) -> dict[str, Any]:
    """Return the row of a loaded model; for one that stays loaded, Ollama gives an expiry far in the future."""
    facts = model.facts
    return {
        **_row(model),
        "size": facts.get("memory") or facts.get("size") or 0,
        "expires_at": facts.get("expires_at") or NEVER,
        "size_vram": facts.get("size_vram") or 0,
        "context_length": model.context_length or 0,
    }


def _details(model: ModelInfo) -> dict[str, Any]:
    facts = model.facts
    said = {name: str(facts.get(fact) or "") for name, fact in _DETAILS.items()}
    return {"parent_model": "", "format": "", "families": _list(facts.get("family")), **said}


def _list(value: Any) -> list[str] | None:
    return [str(value)] if value else None
