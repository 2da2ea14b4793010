"""The benchmark's arithmetic and its command; speeds are never asserted: machines are noisy."""

import json
import subprocess
import sys

import pytest
import torch

from largemodels.__main__ import main
from largemodels.course.bench import command, course, exploring, measuring, peers
from largemodels.course.bench.measuring import Comparison, Competitor, Waits, compare, gemm_rate, peak_memory, spread
from largemodels.gpt import GPT


def test_competitors_take_turns_and_the_first_run_does_not_count():
    order = []
    competitors = [Competitor(name, lambda name=name: order.append(name)) for name in ("ours", "theirs")]
    found = compare("nothing", competitors, repetitions=3)
    assert order == ["ours", "theirs"] * 4
    assert {name: len(times) for name, times in found.seconds.items()} == {"ours": 3, "theirs": 3}
    assert found.gemm.keys() == {"ours", "theirs"}


def test_ratios_are_of_medians_and_against_the_second():
    found = Comparison("x", amount=100, flops=50.0, gemm={"ours": 100.0, "theirs": 100.0}, goal=1.5)
    found.seconds = {"ours": [9.0, 1.0, 1.1], "theirs": [2.0, 2.2, 2.4], "others": [4.4]}
    assert found.ratio("ours") == pytest.approx(2.0)
    assert found.ratio("others") == pytest.approx(0.5)
    text = str(found)
    assert "wanted: ×1.5, reached" in text
    assert "45% of GEMM" in text  # 50 FLOPs in 1.1 s, of 100 a second
    assert found.to_json()["ratios"]["theirs"] == 1


def test_a_share_is_that_of_a_product_in_the_dtype_that_was_used(monkeypatch):
    rates = {torch.float32: 100.0, torch.bfloat16: 400.0}
    monkeypatch.setattr(measuring, "gemm_rate", lambda dtype: rates[dtype])
    competitors = [Competitor("ours", lambda: None, dtype=torch.bfloat16), Competitor("theirs", lambda: None)]
    found = compare("x", competitors, repetitions=2, flops=100.0)
    found.seconds = {"ours": [0.5], "theirs": [2.0]}
    ours, theirs = str(found).splitlines()[1:]
    assert " 50% of GEMM" in ours  # 200 FLOPs a second, of 400
    assert " 50% of GEMM" in theirs  # 50, of 100


def test_without_a_peer_there_is_nothing_to_reach():
    assert Comparison("x", seconds={"ours": [1.0]}, goal=1.5).reached is None
    assert Comparison("x", seconds={"ours": [1.0], "theirs": [1.4]}, goal=1.5).reached is False


@pytest.mark.slow
def test_losses_after_equal_steps_and_memory_are_kept():
    losses = iter([5.0, 4.0, 3.0])
    one = compare("x", [Competitor("ours", lambda: next(losses))], repetitions=2)
    assert one.losses == {"ours": 3.0}
    assert "loss 3.0000" in str(one)
    one = compare("x", [Competitor("ours", lambda: torch.ones(1000, 1000).sum())], repetitions=1, memory=True)
    assert 4_000_000 <= one.peak["ours"] < 4_100_000
    assert "4.0 MB" in str(one)


@pytest.mark.parametrize("has_instructions", [True, False])
def test_only_the_products_that_the_processor_is_made_for_are_measured(monkeypatch, has_instructions):
    """A product in bfloat16 that it has to put together from others took four seconds."""
    asked = []
    monkeypatch.setattr(command, "gemm_rate", lambda dtype: asked.append(dtype) or 1e9)
    monkeypatch.setattr(command, "multiplies_bfloat16", lambda device: has_instructions)
    assert ("GEMM bfloat16" in command.describe_machine()) is has_instructions
    assert {*asked} == {torch.float32, torch.bfloat16} if has_instructions else {torch.float32}


def test_peak_memory_is_not_the_sum():
    def run():
        for _ in range(3):
            torch.ones(1000, 1000).add_(1)

    assert 4_000_000 <= peak_memory(run) < 4_100_000


def test_the_longest_wait_counts():
    waits = Waits("x", {"a": [0.1, 0.6], "b": [0.2]}, {"a": 0.5, "b": 0.5})
    assert waits.reached is False
    assert "each below 0.5 s, NOT reached" in str(waits)
    assert Waits("x", {"a": [20.0]}, {"a": 90}).reached
    assert "20.0 s" in str(Waits("x", {"a": [20.0]}, {"a": 90}))
    assert Waits("x", {"a": [0.1]}).reached is None


@pytest.mark.parametrize("name", exploring.ACTIONS)
def test_each_action_changes_what_the_explorer_shows(name, monkeypatch):
    """Otherwise nothing would be measured."""
    from ipywidgets import Widget

    sent = []
    monkeypatch.setattr(Widget, "send_state", lambda self, key=None: sent.append(key))
    act = exploring.ACTIONS[name]()
    for i in range(4):
        sent.clear()
        act(i)
        assert sent, i


def test_what_a_chapter_promises_is_found():
    from largemodels.classroom.release import COURSE
    from largemodels.classroom.sources import targets

    chapters = [one for one in targets(COURSE) if one.path.parent.name == "chapters"]
    assert len(chapters) >= 8
    for chapter in chapters:
        assert course.promised(chapter.source.read_text(encoding="utf-8")), chapter.source


def test_all_that_can_be_drawn_is_drawn():
    def one(title, **more):
        return Comparison(title, seconds={"ours": [1.0], "theirs": [2.0]}, peak={"ours": 10, "theirs": 20}, **more)

    found = {
        "train": [one("GPT A, float32: 4 layers")],
        "generate": [one("greedy: 128 tokens")],
        "lengths": [Comparison("x", amount=16, seconds={"after 16": [1.0], "after 1,024": [1.0]})],
        "bands": [one("attention, length 1,024"), one("attention, length 2,048")],
        "check": [Waits("check", {"1.1": [0.1]})],
    }
    figure = command.plot(found)
    assert [len(ax.lines) for ax in figure.axes][1:] == [1, 2, 2]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["GPT A, float32", "greedy"]
    assert figure.axes[2].lines[0].get_xdata().tolist() == [1024, 2048]


def test_the_spread_is_the_middle_half():
    assert spread([1.0, 2.0, 3.0, 4.0, 100.0]) == (2.0, 4.0)
    assert spread([7.0]) == (7.0, 7.0)


def test_nothing_cannot_be_repeated():
    with pytest.raises(ValueError, match="at least once, got repetitions=0"):
        compare("x", [], repetitions=0)


def test_gemm_rate_is_a_rate():
    assert gemm_rate(64) > 1e6


@pytest.mark.slow
def test_our_gpt_has_the_peers_weights():
    pytest.importorskip("transformers")
    sizes = peers.Sizes(num_layers=2, d_model=16, num_heads=2, length=8, vocab_size=20, batch=2)
    theirs = peers.gpt2(sizes).eval()
    ours = peers.same_weights(theirs).eval()
    tokens = torch.arange(16).view(2, 8)
    with torch.no_grad():
        assert torch.allclose(ours(tokens), theirs(tokens).logits, atol=1e-5)
    own, other = (sum(p.numel() for p in model.parameters()) for model in (GPT(sizes.gpt()), peers.TorchGPT(sizes)))
    assert own == other  # torch's layers are as large as ours


def bench(*arguments):
    line = [sys.executable, "-m", "largemodels", "bench", *arguments]
    return subprocess.run(line, capture_output=True, encoding="utf-8")


@pytest.mark.slow
def test_nothing_heavy_is_imported_before_it_is_used():
    code = """
import sys, torch
before = {*sys.modules}
import largemodels.bart, largemodels.bert, largemodels.denoising, largemodels.generation, largemodels.gpt, largemodels.masked_lm
import largemodels.positions, largemodels.pretrained, largemodels.t5, largemodels.tokenizers, largemodels.training
print(*{module.split(".")[0] for module in {*sys.modules} - before})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    found = {*done.stdout.split()}
    assert "largemodels" in found
    assert not found & {"matplotlib", "ipywidgets", "anywidget", "transformers", "IPython", "jupytext", "pandas"}


@pytest.mark.slow
def test_the_command_writes_json_and_a_picture(tmp_path):
    json_file, picture = tmp_path / "b.json", tmp_path / "b.png"
    done = bench("bands", "import", "--repetitions", "1", "--json", str(json_file), "--plot", str(picture))
    assert done.returncode == 0, done.stderr
    assert "GEMM float32" in done.stdout
    assert "attention, length 16,384" in done.stdout
    content = json.loads(json_file.read_text(encoding="utf-8"))
    assert {"machine", "bands", "import"} == set(content)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_bad_arguments_are_refused(monkeypatch, capsys):
    def refused(*arguments):
        """The complaint; nothing has been measured by then."""
        monkeypatch.setattr(sys, "argv", ["largemodels", "bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert (ended.value.code, printed.out) == (2, "")
        return printed.err

    assert "at least 1, got 0" in refused("--repetitions", "0")
    for option, name, words in (
        ("--plot", "x.xyz", "must be one of"),
        ("--plot", "nowhere/x.png", "there is no folder"),
        ("--json", "nowhere/x.json", "there is no folder"),
        ("--json", ".", "name a file"),
    ):
        assert words in refused("import", option, name)
    assert "nothing to plot in import" in refused("import", "--plot", "x.png")
    assert "train" in refused("speed")
