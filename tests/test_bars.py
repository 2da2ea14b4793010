"""A bar in a notebook is one line of text that is written anew; elsewhere it is tqdm's."""

from contextlib import suppress

import IPython.display
import pytest

from largemodels import bars


class Handle(list):
    """Stands for a notebook's output area: what one output showed, in order."""

    def update(self, bundle, raw):
        self.append(bundle)


@pytest.fixture
def shown(monkeypatch):
    """The outputs that bars make in a notebook."""
    outputs = []

    def display(bundle, raw, display_id):
        outputs.append(Handle([bundle]))
        return outputs[-1]

    monkeypatch.setattr(bars, "in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", display)
    return outputs


def test_it_leaves_one_line_of_text(shown, capsys):
    assert list(bars.progress_bar(range(3), desc="weights", mininterval=0)) == [0, 1, 2]
    (lines,) = shown
    assert len(lines) >= 3
    assert all(bundle.keys() == {"text/plain"} for bundle in lines)
    assert lines[-1]["text/plain"].startswith("weights: 100%|")
    assert capsys.readouterr() == ("", "")


def test_it_keeps_quiet_where_it_is_told_to(shown):
    list(bars.progress_bar(range(3), disable=True))
    list(bars.progress_bar(range(3), delay=60))
    assert shown == []


def test_what_is_cut_short_says_how_far_it_came(shown):
    with suppress(KeyboardInterrupt), bars.progress_bar(total=10) as bar:
        bar.update(4)
        raise KeyboardInterrupt
    assert "4/10" in shown[0][-1]["text/plain"]


def test_outside_a_notebook_it_is_a_line_of_the_terminal(capsys):
    list(bars.progress_bar(range(3)))
    assert "3/3" in capsys.readouterr().err
