"""A real checkpoint, sentence-transformers/all-MiniLM-L6-v2, where it is on this machine; and where it is looked for.

Not downloaded here. To have these tests run, put its files into a folder weights/all-MiniLM-L6-v2 beside chapters, or into
a folder of that name in the one that the environment variable LARGEMODELS_WEIGHTS names.
"""

import hashlib
from pathlib import Path

import pytest
import torch
import transformers

from largemodels.bert import SequenceClassifier
from largemodels.pretrained import load, load_tokenizer, on_this_machine, parity
from largemodels.pretrained.files import Source
from largemodels.tokenizers import Official

TEXTS = [
    "A dog is running after a ball.",
    "The bank has raised its INTEREST rates: café, naïve, well-known (3.14159)!",
    "狗喜欢球。 the dogs like balls \u2028 …",
    "[MASK] and [SEP] in a text; supercalifragilisticexpialidocious",
    "",
]
real = pytest.mark.skipif(not on_this_machine(parity.REAL), reason=f"{parity.REAL} is not on this machine")


@pytest.fixture(scope="module")
def folder():
    return Source(parity.REAL).first("config.json").parent


@pytest.fixture(scope="module")
def theirs(folder):
    return transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()


@pytest.fixture(scope="module")
def ours():
    return load(parity.REAL, head=None)


@real
def test_it_is_the_file_that_was_published(folder):
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert digest == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@real
@pytest.mark.parametrize("form", ["tokenizer.json", "vocab.txt"])
def test_its_tokens_are_those_of_transformers(form, folder, tmp_path):
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    for name in ("config.json", "tokenizer_config.json", "special_tokens_map.json", form):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    ours = load_tokenizer(tmp_path)
    for text in TEXTS:
        assert ours.encode(text).ids == theirs(text)["input_ids"], text
    assert ours.encode(*TEXTS[:2]).type_ids == theirs(*TEXTS[:2])["token_type_ids"]
    assert "[MASK]" not in [Official(ours).tokens[i] for i in Official(ours).encode(TEXTS[3])]


@real
def test_its_vectors_are_those_of_transformers(ours, theirs, folder):
    batch = transformers.AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    mask = batch["attention_mask"].bool()
    with torch.no_grad():
        expected = theirs(**batch, output_attentions=True)
        vectors, weights = ours(batch["input_ids"], mask=mask[:, None, None], return_weights=True)
        pooled = torch.tanh(ours.pooler(vectors[:, 0]))
    torch.testing.assert_close(vectors[mask], expected.last_hidden_state[mask], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(pooled, expected.pooler_output, atol=2e-5, rtol=1e-4)
    for found, right in zip(weights, expected.attentions, strict=True):
        queries = mask[:, None, :].expand(found.shape[:3])
        torch.testing.assert_close(found[queries], right[queries], atol=1e-5, rtol=1e-4)
    assert SequenceClassifier(ours, 2).head.pooler is ours.pooler


@real
def test_the_claims_of_appendix_a(ours):
    """Its numbers are printed there; these are the words around them."""
    tokenizer = load_tokenizer(parity.REAL)

    @torch.no_grad()
    def read(text):
        vectors, weights = ours(torch.tensor([tokenizer.encode(text).ids]), return_weights=True)
        return torch.nn.functional.normalize(vectors[0].mean(0), dim=0), weights

    film, not_film, movie, bites, bitten, reverse = (
        read(text)[0]
        for text in (
            "I like this film.",
            "I do not like this film.",
            "I enjoyed the movie.",
            "The dog bites the man.",
            "The man is bitten by the dog.",
            "The man bites the dog.",
        )
    )
    assert film @ not_film > film @ movie
    assert bites @ reverse > bites @ bitten
    weights = read("The dog chased the cat because it was hungry.")[1]
    assert weights[0][0, 2].diagonal(-1).mean() > 0.95


@real
def test_its_line_in_the_table_of_parity():
    assert parity.measure_real().holds


# ---------------------------------------------------------------------------------------------------- where it is looked for


@pytest.fixture
def someones(tmp_path, monkeypatch):
    """A repository's files in a folder, and no network."""
    for name in ("HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    case = next(case for case in parity.CASES if case.model_type == "gpt2")
    parity.make(case, tmp_path / "weights" / "small")
    return tmp_path


@pytest.mark.parametrize("place", ["LARGEMODELS_WEIGHTS", "here", "beside"])
def test_a_repository_that_was_put_into_a_folder_is_found_by_its_name(place, someones, monkeypatch):
    monkeypatch.delenv("LARGEMODELS_WEIGHTS", raising=False)
    elsewhere = someones / "elsewhere"
    elsewhere.mkdir()
    if place == "LARGEMODELS_WEIGHTS":
        monkeypatch.setenv("LARGEMODELS_WEIGHTS", str(someones / "weights"))
    monkeypatch.chdir(elsewhere if place == "beside" else someones)
    assert on_this_machine("someone/small")
    assert load("someone/small").config.vocab_size == 29
    assert not on_this_machine("someone/large")
    monkeypatch.chdir(Path(__file__).parent)
    monkeypatch.delenv("LARGEMODELS_WEIGHTS", raising=False)
    assert not on_this_machine("someone/small")


def test_both_parts_of_the_name_may_be_folders(someones, monkeypatch):
    (someones / "weights" / "someone").mkdir()
    (someones / "weights" / "small").rename(someones / "weights" / "someone" / "small")
    monkeypatch.setenv("LARGEMODELS_WEIGHTS", str(someones / "weights"))
    assert on_this_machine("someone/small")
    assert not on_this_machine("anyone/small")
