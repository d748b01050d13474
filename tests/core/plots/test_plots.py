"""Contents of the pictures: the data of their artists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection, PolyCollection, QuadMesh
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from ember_core import nn, plots
from ember_core.training import History
from tests.core.plots.rows import BEGIN_US, CHANNELS, FIRST, NEURONS, ROWS, SECOND, scored

ROWS_OF_KEY = scored()
HISTORY = History({"loss": [9.0, 1.0, 0.1], "validation_loss": [9.5, 1.2, 0.2], "rate": [1.0, 2.0]})
WIRING = nn.AutoNCP(23, 3, seed=5).build(7)
PICTURES: dict[str, Callable[..., Figure]] = {
    "series": lambda **more: plots.series(ROWS_OF_KEY, **more),
    "score": lambda **more: plots.score(ROWS_OF_KEY, **more),
    "contributions": lambda **more: plots.contributions(ROWS_OF_KEY, **more),
    "contributions of a row": lambda **more: plots.contributions(ROWS_OF_KEY, FIRST[0], **more),
    "activations": lambda **more: plots.activations(
        ROWS_OF_KEY.activation, ROWS_OF_KEY.time_us, **more
    ),
    "energy": lambda **more: plots.energy(ROWS_OF_KEY.score, **more),
    "training": lambda **more: plots.training(HISTORY, **more),
    "wiring": lambda **more: plots.wiring(WIRING, **more),
}


def _line(figure: Figure, label: str, panel: int = 0):
    return next(line for line in figure.axes[panel].lines if line.get_label() == label)


def _dates(*rows: int) -> list[float]:
    times = (BEGIN_US + np.asarray(rows) * 10_000_000).astype("datetime64[us]")
    return date2num(times).tolist()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_and_settings_stay(name: str, dark: bool) -> None:
    before = dict(mpl.rcParams)
    figure = PICTURES[name](title="$broken\\formula{ <key>", dark=dark)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    assert buffer.getvalue().startswith(b"\x89PNG")
    assert dict(mpl.rcParams) == before
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_no_window_and_no_pyplot(python: Callable[[str], str]) -> None:
    out = python(
        "from tests.core.plots.test_plots import PICTURES\n"
        "[draw() for draw in PICTURES.values()]\n"
        "import sys; print('matplotlib.pyplot' in sys.modules)"
    )
    assert out.strip() == "False"


def test_matplotlib_is_imported_by_the_first_picture_only(python: Callable[[str], str]) -> None:
    out = python(
        "import sys, ember_core, ember_core.plots\n"
        "from ember_core import plots\n"
        "print('matplotlib' in sys.modules, plots.series.__name__, 'matplotlib' in sys.modules)"
    )
    assert out.split() == ["False", "series", "True"]


def test_the_extra_is_named_where_matplotlib_is_missing(python: Callable[[str], str]) -> None:
    out = python(
        "import sys; sys.modules['matplotlib'] = None\n"
        "from ember_core import plots\n"
        "try: plots.score\n"
        "except ModuleNotFoundError as error: print(error)"
    )
    sentence = 'Pictures need matplotlib. Install it with: pip install "ember-anomaly[plots]".'
    assert out.strip() == sentence


def test_every_channel_has_its_values_and_band() -> None:
    figure = plots.series(ROWS_OF_KEY)
    assert len(figure.axes) == len(CHANNELS)
    for panel in range(len(CHANNELS)):
        x, y = _line(figure, "value", panel).get_data()
        np.testing.assert_array_equal(np.asarray(y), ROWS_OF_KEY.value[:, panel])
        assert len(x) == ROWS
        bands = [c for c in figure.axes[panel].collections if isinstance(c, PolyCollection)]
        assert len(bands) == (panel < 4)  # the last has none
    (band,) = [c for c in figure.axes[2].collections if isinstance(c, PolyCollection)]
    low, high = band.get_datalim(figure.axes[2].transData).intervaly
    assert low == pytest.approx(ROWS_OF_KEY.lower[:, 2].min())
    assert high == pytest.approx(ROWS_OF_KEY.upper[:, 2].max())


def test_episodes_are_shaded_from_firing_to_resolved() -> None:
    figure = plots.series(ROWS_OF_KEY)
    for panel in figure.axes:
        spans = [patch for patch in panel.patches if patch.get_gid() == "episode"]
        assert len(spans) == 2
        for patch, rows in zip(spans, (FIRST, SECOND), strict=True):
            x = patch.get_xy()[0]
            assert [x, x + patch.get_width()] == pytest.approx(_dates(*rows))


def test_a_row_that_fires_right_after_one_that_resolves_begins_an_episode_of_its_own() -> None:
    rows = scored()
    first, last = SECOND
    rows.firing[last + 1 : last + 12] = True
    rows.trigger[last + 1] = 1
    patches = plots.score(rows).axes[0].patches
    ends = [[p.get_xy()[0], p.get_xy()[0] + p.get_width()] for p in patches]
    assert ends[1:] == [
        pytest.approx(_dates(first, last)),
        pytest.approx(_dates(last + 1, last + 11)),
    ]


def test_score_shows_evidence_threshold_and_triggers() -> None:
    figure = plots.score(ROWS_OF_KEY)
    np.testing.assert_array_equal(_line(figure, "evidence").get_ydata(), ROWS_OF_KEY.evidence)
    assert set(np.asarray(_line(figure, "threshold").get_ydata()).tolist()) == {4.0}
    for label, place in (("fires", 0), ("resolves", 1)):
        x = date2num(np.asarray(_line(figure, label).get_xdata())).tolist()
        assert x == pytest.approx(_dates(FIRST[place], SECOND[place]))


def test_shares_of_a_row_are_bars_by_falling_size() -> None:
    panel = plots.contributions(ROWS_OF_KEY, -1, most=3).axes[0]
    assert [bar.get_width() for bar in panel.patches] == pytest.approx([60.0, 10.0, 10.0])
    assert panel.get_yticklabels()[0].get_text() == "net"


def test_shares_over_time_are_weighted_by_severity() -> None:
    panel = plots.contributions(ROWS_OF_KEY).axes[0]
    (mesh,) = [c for c in panel.collections if isinstance(c, QuadMesh)]
    cells = np.asarray(mesh.get_array())
    assert cells.shape == (len(CHANNELS), 240)
    assert cells.max() == pytest.approx(3.6, rel=1e-6)  # share .6 of severity 6
    assert cells.argmax(axis=0).tolist() == [3] * 240


def test_rows_without_shares_are_left_out() -> None:
    contribution = ROWS_OF_KEY.contribution.copy()
    contribution[~ROWS_OF_KEY.firing] = np.nan
    rows = replace(ROWS_OF_KEY, contribution=contribution)
    panel = plots.contributions(rows).axes[0]
    (mesh,) = [c for c in panel.collections if isinstance(c, QuadMesh)]
    assert np.asarray(mesh.get_array()).max() == pytest.approx(3.6, rel=1e-6)
    assert [panel.get_ylabel() for panel in plots.series(rows, most=1).axes] == ["net"]
    with pytest.raises(ValueError, match=r"The row has no shares.*at=0"):
        plots.contributions(rows, 0)


def test_activations_are_a_row_a_neuron_by_layer() -> None:
    cell = nn.AutoNCP(NEURONS, 3, seed=2).build(2)
    rows = ROWS_OF_KEY.between(BEGIN_US, BEGIN_US + 100 * 10_000_000)
    panel = plots.activations(rows.activation, rows.time_us, wiring=cell).axes[0]
    (mesh,) = [c for c in panel.collections if isinstance(c, QuadMesh)]
    order = np.concatenate(list(cell.layers.values()))
    np.testing.assert_allclose(np.asarray(mesh.get_array()), rows.activation[:, order].T)
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert names == [f"{name} ({len(ids)})" for name, ids in cell.layers.items()]


def test_a_wiring_has_its_neurons_and_synapses() -> None:
    panel = plots.wiring(WIRING, names={"sensory_0": "cpu"}).axes[0]
    lines = {c.get_label(): c for c in panel.collections if isinstance(c, LineCollection)}
    synapses = np.concatenate([WIRING.sensory(), WIRING.adjacency_matrix])
    for kind, polarity in (("excitatory", 1), ("inhibitory", -1)):
        count = int((synapses == polarity).sum())
        assert len(lines[f"{kind} ({count})"].get_segments()) == count
    dots = {c.get_gid(): len(c.get_offsets()) for c in panel.collections if c.get_gid()}
    assert dots == {"sensory": 7} | {name: len(ids) for name, ids in WIRING.layers.items()}
    assert "cpu" in {text.get_text() for text in panel.texts}


def test_activations_colour_the_neurons_of_a_wiring() -> None:
    quiet, loud = (
        plots.wiring(WIRING, activation=np.eye(23)[neuron], inputs=np.ones(7)) for neuron in (0, 4)
    )
    colours = [
        next(c for c in figure.axes[0].collections if c.get_gid() == "motor").get_facecolors()
        for figure in (quiet, loud)
    ]
    assert not np.array_equal(colours[0][0], colours[1][0])


def test_a_figure_and_its_validation_share_a_panel() -> None:
    figure = plots.training(HISTORY)
    assert [panel.get_ylabel() for panel in figure.axes] == ["loss", "rate"]
    assert list(_line(figure, "validation").get_ydata()) == HISTORY["validation_loss"]
    assert [panel.get_yscale() for panel in figure.axes] == ["log", "linear"]


def test_a_million_rows_are_few_points_and_keep_their_peak() -> None:
    rows = scored(1_000_003)
    rows.value[777_777, 0] = 1e3
    y = np.asarray(_line(plots.series(rows, ["cpu"]), "value").get_ydata())
    assert len(y) <= 1_800
    assert y.max() == 1e3
    panel = plots.activations(rows.activation, rows.time_us).axes[0]
    (mesh,) = [c for c in panel.collections if isinstance(c, QuadMesh)]
    assert np.asarray(mesh.get_array()).shape == (NEURONS, 600)


def test_of_many_channels_those_of_the_episodes_are_drawn() -> None:
    figure = plots.series(ROWS_OF_KEY, most=1)
    assert [panel.get_ylabel() for panel in figure.axes] == ["net"]


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: plots.series(ROWS_OF_KEY, ["no"]), "There are no such channels"),
        (lambda: plots.contributions(ROWS_OF_KEY, ROWS), "There is no such row"),
        (lambda: plots.score(ROWS_OF_KEY.between(0, 1)), "There is nothing to draw"),
        (
            lambda: plots.score(replace(ROWS_OF_KEY, time_us=ROWS_OF_KEY.time_us[::-1])),
            "Expected times that rise",
        ),
        (lambda: plots.activations(np.zeros((3, 2)), np.zeros(5)), "Activations are a table"),
        (
            lambda: plots.activations(np.zeros((3, 2)), np.arange(3), wiring=WIRING),
            "The wiring is of other neurons",
        ),
        (lambda: plots.wiring(WIRING, activation=np.zeros(5)), "Expected 23 numbers"),
        (lambda: plots.training(History()), "The training has no figures"),
        (lambda: plots.energy(np.full(3, np.nan)), "There is nothing to draw"),
    ],
)
def test_wrong_input_is_one_clear_error(draw: Callable[[], Figure], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        draw()


def test_given_axes_are_drawn_on() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plots.score(ROWS_OF_KEY, ax=right) is figure
    assert not left.lines
    assert right.lines
