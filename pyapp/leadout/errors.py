"""Every error a user of Leadout can meet, by name.

Each is a child of `LeadoutError`. A message says what was found, what was wanted and what to
do; the numbers in it are repeated in `detail`, so that a page can show them its own way. Across
the JavaScript boundary an error is `{name, message, detail}` with the class's name as `name`.
"""

from __future__ import annotations

from typing import ClassVar


class LeadoutError(Exception):
    """Base of all errors that Leadout raises on purpose.

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
        """Return the form in which the error crosses to JavaScript."""
        return {"name": type(self).__name__, "message": self.message, "detail": self.detail}


# ---- what was asked for -------------------------------------------------------------------


class RequestError(LeadoutError):
    """An argument or a field of a request is out of its range."""


class ContextLengthError(RequestError):
    """The prompt does not fit into the context."""


class ModelNotFoundError(LeadoutError):
    """No model of that name or path."""


# ---- where bytes come from and go to ------------------------------------------------------


class SourceError(LeadoutError):
    """A file or URL cannot be read (missing, refused, cut short, no Range support)."""


class StoreError(LeadoutError):
    """The model store cannot be used (not writable, disk full)."""


class IntegrityError(StoreError):
    """Downloaded bytes do not have the size or hash that was published."""


class PortInUseError(LeadoutError):
    """The server's port is taken."""


# ---- checkpoints --------------------------------------------------------------------------


class CheckpointError(LeadoutError):
    """A checkpoint is malformed: truncated, lying counts or offsets, wrong shapes."""


class UnsupportedFormatError(CheckpointError):
    """A file format, format version or tensor type that Leadout does not read."""


class UnsupportedModelError(CheckpointError):
    """An architecture, or a feature of one, that Leadout does not run."""


class TensorError(CheckpointError):
    """A tensor is missing, doubled, or of another shape than the configuration says."""


class DrafterError(CheckpointError):
    """A drafter is missing, or was not made for its target."""


class TokenizerError(CheckpointError):
    """The tokenizer is missing or invalid."""


class ChatTemplateError(CheckpointError):
    """The chat template is missing, invalid, or refused the messages."""


# ---- devices ------------------------------------------------------------------------------


class DeviceError(LeadoutError):
    """The device refused or failed an operation (a validation error, a failed pipeline)."""


class DeviceUnavailableError(DeviceError):
    """No WebGPU here, or no adapter."""


class DeviceLimitError(DeviceError):
    """The adapter's limits are below what the model needs."""


class OutOfMemoryError(DeviceError):
    """An allocation on the device failed."""


class DeviceLostError(DeviceError):
    """The device was lost; loading the model again starts a new one."""
