import numpy as np
import pytest
from compare import poison, row_table, run_both, settings_table

VOCAB = 5024

SETTINGS = [
    {},
    {"temperature": 1.0},
    {"temperature": 0.0, "top_k": 5},
    {"temperature": 0.7, "top_k": 1},
    {"temperature": 0.7, "top_k": 64},
    {"temperature": 1.3, "top_p": 0.9},
    {"temperature": 1.0, "top_p": 0.0001},
    {"temperature": 1.0, "min_p": 0.05},
    {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.02},
]


@pytest.mark.parametrize("fields", SETTINGS)
def test_thresholds_equal_the_twins(run_kernel, fields) -> None:
    rng = np.random.default_rng(3)
    logits = (4 * rng.standard_normal((2, VOCAB))).astype(np.float32)
    logits[1] = np.round(logits[1])  # many ties
    rows = row_table([(0, 3, 0, True), (0, 4, 0, True)])
    gpu, twin = run_both(
        run_kernel,
        "sample_filter",
        {"V": VOCAB},
        [logits, rows, settings_table(**fields), poison(2)],
        (2, 1, 1),
    )
    a, b = gpu[3].view(np.float32), twin[3].view(np.float32)
    assert np.allclose(a, b, rtol=1e-6, atol=0), (a, b)


def test_top_k_keeps_exactly_the_k_largest(run_kernel) -> None:
    logits = np.random.default_rng(4).standard_normal((1, VOCAB)).astype(np.float32)
    settings = settings_table(temperature=1.0, top_k=17)
    gpu, _ = run_both(
        run_kernel,
        "sample_filter",
        {"V": VOCAB},
        [logits, row_table([(0, 3, 0, True)]), settings, poison(1)],
        (1, 1, 1),
    )
    assert (logits >= gpu[3].view(np.float32)[0]).sum() == 17


def test_top_p_keeps_the_fewest_tokens_that_reach_the_share(run_kernel) -> None:
    logits = np.random.default_rng(5).standard_normal((1, VOCAB)).astype(np.float32) * 3
    settings = settings_table(temperature=1.0, top_p=0.8)
    gpu, _ = run_both(
        run_kernel,
        "sample_filter",
        {"V": VOCAB},
        [logits, row_table([(0, 3, 0, True)]), settings, poison(1)],
        (1, 1, 1),
    )
    probs = np.exp(logits[0].astype(np.float64))
    probs = np.sort(probs / probs.sum())[::-1]
    kept = int((logits >= gpu[3].view(np.float32)[0]).sum())
    assert probs[:kept].sum() >= 0.8 > probs[: kept - 1].sum()
