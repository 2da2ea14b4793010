import os
import random
import zipfile

import pytest
import torch
from train_script import tiny_gpt

from largemodels.bert import BERT, BERTConfig, SequenceClassifier, TokenClassifier
from largemodels.training.checkpoints import load_checkpoint, read_checkpoint, save_checkpoint


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "模型 one.pt"
    save_checkpoint(path, tiny_gpt())
    return path


def logits(model) -> torch.Tensor:
    return model.eval()(torch.arange(10)[None])


def weights(model) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def changed() -> torch.nn.Module:
    """A model of the same configuration with other weights."""
    model = tiny_gpt()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    return model


def test_a_model_comes_back(saved):
    model = changed()
    load_checkpoint(saved, model)
    assert torch.equal(logits(model), logits(tiny_gpt()))
    assert model.head.weight is model.embedding.weight  # stored once, still tied
    assert os.listdir(saved.parent) == [saved.name]


def test_what_a_killed_process_left_half_written_is_no_obstacle(saved):
    left = saved.with_name(".0123456789abcdef.part")
    left.write_bytes(b"PK half a file")
    load_checkpoint(saved, changed())
    save_checkpoint(saved, changed())
    load_checkpoint(saved, tiny_gpt())
    assert sorted(os.listdir(saved.parent)) == [left.name, saved.name]


def test_a_damaged_file_is_never_taken_for_a_model(saved, tmp_path):
    """Cut off anywhere, or a bit turned anywhere: an error that says so, or (where the bit meant nothing) the same."""
    content, path, rng = saved.read_bytes(), tmp_path / "damaged.pt", random.Random(0)
    damages = [content[: rng.randrange(len(content))] for _ in range(20)] + [b"", b"PK", b"no zip file"]
    for number in range(120):
        turned = bytearray(content)
        # Every second one in the directory at the end, where there is most to go wrong.
        turned[-rng.randrange(1, 6000) if number % 2 else rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        damages.append(bytes(turned))
    expected, model, harmless = weights(tiny_gpt()), changed(), 0
    before = weights(model)
    for damage in damages:
        path.write_bytes(damage)
        try:
            load_checkpoint(path, model)
        except ValueError as error:
            message = str(error)
            assert torch.equal(weights(model), before)
        else:
            harmless, message = harmless + 1, path.name
            assert torch.equal(weights(model), expected)
            model = changed()
        assert path.name in message
    assert harmless < 40


def test_other_files_are_no_checkpoints(tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"weights": torch.ones(2)}, path)
    with pytest.raises(ValueError, match="no checkpoint of this library"):
        read_checkpoint(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match="damaged, or no checkpoint"):
        read_checkpoint(path)
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "absent.pt")


def test_a_file_cannot_run_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "broken in"),)

    torch.save({"model": {}, "config": {}, "training": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="no checkpoint"):
        read_checkpoint(tmp_path / "evil.pt")
    assert not (tmp_path / "broken in").exists()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: tiny_gpt(num_heads=4), "num_heads is 2 there and 4 here"),  # all shapes are the same
        (lambda: tiny_gpt(vocab_size=18, num_layers=3), "vocab_size is 17 there and 18 here; num_layers is 2"),
        (lambda: BERT(BERTConfig(vocab_size=17, d_model=16, num_layers=2, num_heads=2, d_ff=64)), "GPT there and BERT"),
        (lambda: torch.nn.Linear(2, 2), "class is GPT there and Linear here"),
    ],
)
def test_another_model_is_refused_and_unchanged(saved, other, message):
    model = other()
    before = weights(model)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(saved, model)
    assert torch.equal(weights(model), before)


def test_without_a_configuration_the_shapes_decide(tmp_path):
    save_checkpoint(tmp_path / "linear.pt", torch.nn.Linear(2, 3))
    with pytest.raises(ValueError, match=r"weight is \(3, 2\) there and \(3, 4\) here"):
        load_checkpoint(tmp_path / "linear.pt", torch.nn.Linear(4, 3))
    with pytest.raises(ValueError, match=r"bias is \(3,\) there and nothing here"):
        load_checkpoint(tmp_path / "linear.pt", torch.nn.Linear(2, 3, bias=False))


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files by a means of Unix")
def test_a_disk_that_takes_no_more_leaves_the_old_file(saved):
    import resource

    before = saved.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 1_000, len(before) // 2, len(before) - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        try:
            with pytest.raises(OSError, match="was not written"):
                save_checkpoint(saved, changed())
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert saved.read_bytes() == before
        assert os.listdir(saved.parent) == [saved.name]
    save_checkpoint(saved, changed())
    assert saved.read_bytes() != before


# ----------------------------------------------------------------------------------------------- whose they are


def a_bert(**changes):
    sizes = {"vocab_size": 17, "max_length": 16, "d_model": 16, "num_layers": 1, "num_heads": 2}
    return BERT(BERTConfig(**sizes | changes))


@pytest.mark.parametrize("wrapper", [SequenceClassifier, TokenClassifier])
def test_a_wrapper_is_known_by_the_model_in_it(tmp_path, wrapper):
    path, model = tmp_path / "classifier.pt", wrapper(a_bert(), 3)
    save_checkpoint(path, model)
    with pytest.raises(ValueError, match="num_heads is 2 there and 4 here"):
        load_checkpoint(path, wrapper(a_bert(num_heads=4), 3))
    other = wrapper(a_bert(dropout=0.3, init_std=0.5), 3)
    load_checkpoint(path, other)
    assert torch.equal(weights(other), weights(model))


def test_dropout_and_initialisation_may_differ(saved):
    same, other = tiny_gpt(), tiny_gpt(dropout=0.4, init_std=0.5, scaled_init=False)
    for model in (same, other):
        load_checkpoint(saved, model)
    assert torch.equal(weights(other), weights(same))


def compiled_inside():
    model = tiny_gpt()
    model.stack = torch.compile(model.stack, backend="eager")
    return model


WRAPPED = {
    "plain": tiny_gpt,
    "compiled": lambda: torch.compile(tiny_gpt(), backend="eager"),
    "compiled inside": compiled_inside,
    "several devices": lambda: torch.nn.DataParallel(tiny_gpt()),
}


@pytest.mark.parametrize("written", WRAPPED)
@pytest.mark.parametrize("read", WRAPPED)
def test_wrappers_leave_no_trace(tmp_path, written, read):
    model, other = WRAPPED[written](), WRAPPED[read]()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    save_checkpoint(tmp_path / "model.pt", model)
    assert not any(
        "_orig_mod" in name or name.startswith("module.") for name in read_checkpoint(tmp_path / "model.pt")["model"]
    )
    load_checkpoint(tmp_path / "model.pt", other)
    assert torch.equal(weights(other), weights(model))


@pytest.mark.parametrize("written", WRAPPED)
def test_files_from_before_wrappers_were_taken_off_can_be_read(tmp_path, written):
    model, other = WRAPPED[written](), tiny_gpt()
    config = {"class": type(model).__name__} | vars(other.config)
    torch.save({"model": model.state_dict(), "config": config, "training": None}, tmp_path / "old.pt")
    load_checkpoint(tmp_path / "old.pt", other)
    assert torch.equal(weights(other), weights(model))
