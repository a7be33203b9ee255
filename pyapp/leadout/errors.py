"""Every error that a user of Leadout can meet, by name.

Each is a child of `LeadoutError`. Its message says what was found, what was wanted and what to do.
`detail` repeats the numbers in it, so that a page can show them in its own way. In JavaScript an
error is `{name, message, detail}`, where `name` is the class's name.
static/docs/troubleshooting.md explains each one.
"""

from __future__ import annotations

from typing import ClassVar


class LeadoutError(Exception):
    """The base of all errors that Leadout raises on purpose.

    Args:
        message: what was found, what was wanted, what to do. One line.
        detail: JSON-serialisable facts behind the message (numbers, names).
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, **detail: object) -> None:
        super().__init__(message)
        self.message = message
        self.detail: dict[str, object] = detail

    def to_json(self) -> dict[str, object]:
        """Return the error as JavaScript gets it."""
        return {"name": type(self).__name__, "message": self.message, "detail": self.detail}


# ---- what was asked for -------------------------------------------------------------------


class RequestError(LeadoutError):
    """An argument or a field of a request is out of its range."""


class ContextLengthError(RequestError):
    """The prompt does not fit into the context."""


class ModelNotFoundError(LeadoutError):
    """There is no model of that name or path."""


class ProcessorError(LeadoutError):
    """A logits processor failed, or gave back something else than logits."""


# ---- where bytes come from and go to ------------------------------------------------------


class SourceError(LeadoutError):
    """A file or URL cannot be read (missing, refused, cut short, or without range requests)."""


class StoreError(LeadoutError):
    """The model store cannot be used (not writable, disk full)."""


class IntegrityError(StoreError):
    """A download does not have the size or hash that was published."""


class PortInUseError(LeadoutError):
    """The server's port is taken."""


# ---- checkpoints --------------------------------------------------------------------------


class CheckpointError(LeadoutError):
    """A checkpoint is damaged: cut short, wrong counts, offsets or shapes."""


class UnsupportedFormatError(CheckpointError):
    """A file format, format version or tensor type that Leadout does not read."""


class UnsupportedModelError(CheckpointError):
    """An architecture, or a feature of one, that Leadout does not run."""


class TensorError(CheckpointError):
    """A tensor is missing, is there twice, or has another shape than the configuration says."""


class DrafterError(CheckpointError):
    """A drafter is missing or failed, or was made for another model."""


class TokenizerError(CheckpointError):
    """The tokenizer is missing or invalid."""


class ChatTemplateError(CheckpointError):
    """The chat template is missing, invalid, or refused the messages."""


# ---- devices ------------------------------------------------------------------------------


class DeviceError(LeadoutError):
    """The device refused or failed an operation (a validation error, a failed pipeline)."""


class DeviceUnavailableError(DeviceError):
    """There is no WebGPU here, or no adapter."""


class DeviceLimitError(DeviceError):
    """The adapter's limits are below what the model needs."""


class OutOfMemoryError(DeviceError):
    """An allocation on the device failed."""


class DeviceLostError(DeviceError):
    """The device was lost. Loading the model again starts a new one."""
