"""Shapes of linear layers over few rows, so that tests reach every form of their kernels."""

from __future__ import annotations

import pytest

from thoroughness import IS_THOROUGH

#: By form, as `lowering.linear.matvec_form` chooses it: outputs, which do not fill their last
#: workgroup, and columns, an odd number of blocks.
FORMS = {
    "shallow": (20, 32 * 17),
    "narrow": (20, 32 * 33),
    "deep": (6, 32 * 129),
    "wide": (8200, 32 * 3),
}

#: Numbers of rows that are compared with one another. Kernels for 8 rows take a CPU seconds to
#: compile, and small tests of other forms have them.
ROWS = (1, 4, 8) if IS_THOROUGH else (1, 4)


def shape_of(form: str, layout: str) -> tuple[int, int]:
    """Return (outputs, columns) of a form, as a layout takes them: of some, whole super-blocks."""
    outputs, columns = FORMS[form]
    return outputs, -(-columns // 256) * 256 if "super" in layout else columns


def forms_in(few: dict[str, str], every: list[str]) -> list[object]:
    """Return parameters (form, layout).

    Args:
        few: a layout for each form. How one is read does not depend on the form.
        every: all that thorough runs take.
    """
    pairs = [(form, one) for form in few for one in (every if IS_THOROUGH else [few[form]])]
    return [pytest.param(*pair, id="-".join(pair)) for pair in pairs]
