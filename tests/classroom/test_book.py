"""The book: both editions are made from the notebooks, and read in a browser whose network is cut."""

import json
import re
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from bs4 import BeautifulSoup

from largemodels.classroom import release
from largemodels.classroom.book.pages import IN_ENGLISH, edition
from largemodels.classroom.book.site import BookError, make_book
from largemodels.explorers import MaskPainter, encoding_explorer, head_explorer, sampling_explorer
from largemodels.explorers.paged import PAGE
from largemodels.gpt import GPT, GPTConfig
from largemodels.language import say, speaking
from largemodels.masks import causal_mask
from largemodels.tokenizers import BPE

pytest.importorskip("myst_nb", reason="the book's packages are not installed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
WORDS = ["Dogs", "like", "balls", "很"]
CHAPTERS = {"heads": "01-attention", "masks": "02-masking", "encodings": "03-positional-encoding", "sampling": "07-gpt"}


def make_explorers():
    """As the four chapters make theirs, with numbers of the tests' own."""
    torch.manual_seed(0)
    scores = torch.randn(2, 4, 4) * 2
    tokenizer = BPE([], special=["<eos>"])
    model = GPT(GPTConfig(len(tokenizer), max_length=40, d_model=32, num_layers=2, num_heads=4, init_std=0.3))
    return {
        "heads": head_explorer(scores.masked_fill(~causal_mask(4), -torch.inf), WORDS),
        "masks": MaskPainter(scores[0], WORDS, layers=2),
        "encodings": encoding_explorer(20),
        "sampling": sampling_explorer(model, tokenizer, "Dogs </script>", begin=0, max_length=40),
    }


@pytest.fixture(scope="module")
def explorers():
    return make_explorers()


@pytest.fixture(scope="module")
def course(tmp_path_factory, explorers):
    """The course as it is, but that chapter 1 is translated and that explorers are those above."""
    course = tmp_path_factory.mktemp("course")
    for folder in ("chapters", "exercises", "solutions", "docs"):
        keep = shutil.ignore_patterns("checkpoints", "text", "zh", ".*") if folder != "docs" else None
        shutil.copytree(ROOT / folder, course / folder, ignore=keep)
    shutil.copy(ROOT / "START.ipynb", course)
    for name, explorer in explorers.items():
        path = course / f"chapters/{CHAPTERS[name]}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        (place,) = [
            output
            for cell in notebook.cells
            for output in cell.get("outputs", [])
            if output.get("data", {}).get("text/plain") == release.INTERACTIVE
        ]
        shown = explorer._repr_mimebundle_()
        place.data = nbformat.from_dict(json.loads(json.dumps(shown[0] if isinstance(shown, tuple) else shown)))
        release._tidy_outputs(notebook)
        assert place.data.keys() == {"text/plain", PAGE}
        nbformat.write(notebook, path)
    (course / "chapters/zh").mkdir()
    notebook = nbformat.read(course / "chapters/01-attention.ipynb", as_version=4)
    notebook.cells[0].source = "# 1 · 注意力机制\n\n见[练习](../../exercises/zh/01-attention.ipynb)。"
    nbformat.write(notebook, course / "chapters/zh/01-attention.ipynb")
    return course


@pytest.fixture(scope="module")
def book(course):
    out = course / "book"
    made = make_book(course, out, ["en", "zh"])
    assert [page.name for page in made["en"]] == [page.name for page in made["zh"]]
    return out


def test_an_edition_has_all_pages_and_takes_the_english_for_what_it_lacks(course, book):
    pages = {page.name: page for page in edition(course, "zh")}
    assert [page.name for page in edition(course, "en")] == list(pages)
    assert [name for name, page in pages.items() if page.language == "zh"] == ["chapters/01-attention", "glossary"]
    kinds = [page.kind for page in pages.values()]
    assert kinds == sorted(kinds, key=["chapter", "exercise", "solution", "glossary"].index)  # solutions apart
    for name in pages:
        assert all((book / code / f"{name}.html").exists() for code in ("en", "zh"))
    untranslated = soup(book / "zh/chapters/02-masking.html")
    with speaking("zh"):
        assert untranslated.select_one("article .alert").text == say(IN_ENGLISH)
    link = soup(book / "zh/chapters/01-attention.html").find("a", string="练习")
    assert link["href"] == "../exercises/01-attention.html"


def soup(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def test_pictures_say_what_they_show_and_pages_ask_nobody_else(book):
    pictures = 0
    for path in book.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        for picture in re.findall(r"<img [^>]*>", text):
            alt = re.search(r'alt="([^"]*)"', picture)
            assert len(alt[1].split()) >= 8, (path, picture)
            pictures += 1
        assert re.findall(r'<(?:link|script|img|iframe)\b[^>]*(?:src|href)="(?:https?:)?//[^>]*', text) == []
    assert pictures > 150


def test_hints_are_folded_and_code_stands_under_its_solution(book):
    assert len(soup(book / "en/exercises/01-attention.html").select("details:not([open]) > summary")) > 10
    assert "raise NotImplementedError" not in soup(book / "en/solutions/01-attention.html").text


def test_another_folder_is_not_overwritten(course, tmp_path):
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "thesis.txt").touch()
    with pytest.raises(BookError, match="holds no book"):
        make_book(course, tmp_path, ["en"])
    assert (tmp_path / "en" / "thesis.txt").exists()


# --------------------------------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def site(book):
    handler = partial(Quiet, directory=book)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def page(chromium, site):
    """A page that cannot leave the site; at the end nothing has tried, and no script has failed."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    complaints = []

    def guard(route):
        if route.request.url.startswith((site, "data:")):
            route.continue_()
        else:
            complaints.append(route.request.url)
            route.abort()

    context.route("**/*", guard)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("response", lambda response: complaints.append(response.url) if response.status >= 400 else None)
    page = context.new_page()
    yield page
    context.close()
    assert complaints == []


FORMULAS = "() => MathJax.startup.promise.then(() => document.querySelectorAll('mjx-container').length)"


def test_all_pages_open_and_set_their_formulas(page, site, book):
    for path in sorted((book / "en").rglob("*.html")):
        page.goto(f"{site}/{path.relative_to(book).as_posix()}")
        declared = page.locator(".math").count()
        if declared:
            assert page.evaluate(FORMULAS) >= declared
            assert page.locator("mjx-merror").count() == 0


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("注意力", "chapters/01-attention"),
        ("位置编码", "chapters/03-positional-encoding"),  # another cut might join 置编
        ("掩码", "chapters/02-masking"),
        ("sharpest attends", None),
        ("rotations", "chapters/03-positional-encoding"),  # by its stem
    ],
)
def test_the_search_finds_chapters_in_both_languages(page, site, words, name):
    page.goto(f"{site}/en/index.html")
    page.locator(".sidebar-search").first.fill(words)
    page.keyboard.press("Enter")
    page.locator("#search-results .search-summary, #search-results p").first.wait_for()
    page.wait_for_function(
        "() => document.title && !document.querySelector('#search-results h2').textContent.endsWith('.')"
    )
    found = page.locator("#search-results li a").evaluate_all("links => links.map(link => link.href)")
    if name is None:
        assert found == []
    else:
        assert any(f"{name}.html" in address for address in found)


def test_the_search_works_where_pages_are_files(chromium, book):
    page = chromium.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((book / "zh/search.html").as_uri() + "?q=注意力")
    page.locator("#search-results li a[href*='01-attention']").first.wait_for()
    page.close()
    assert errors == []


def test_pages_follow_each_other_in_both_themes_and_editions(page, site):
    page.emulate_media(color_scheme="dark")
    page.goto(f"{site}/en/chapters/01-attention.html")
    brightness = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((a, b) => +a + +b, 0)"
    assert page.evaluate(brightness) < 120
    page.evaluate("() => document.body.dataset.theme = 'light'")
    assert page.evaluate(brightness) > 700
    page.locator(".next-page").click()
    assert page.url.endswith("/en/chapters/02-masking.html")
    page.locator(".prev-page").click()
    page.locator(".editions a").click()
    assert page.url.endswith("/zh/chapters/01-attention.html")
    assert page.locator("html").get_attribute("lang") == "zh-CN"


SCROLLED = """() => [...document.querySelectorAll("article :is(pre, .math-wrapper)")].every(
  (part) => part.scrollWidth <= part.clientWidth || part.tabIndex === 0)"""  # by the keyboard


def test_nothing_is_hidden_from_a_screen_reader_or_too_faint(page, site):
    """All rules of axe-core; in the dark, where nothing else differs, that of contrasts, of chapters in the explorers."""
    chapters = ("chapters/02-masking", "chapters/03-positional-encoding", "chapters/07-gpt")
    for name in ("index", "search", *chapters):
        page.emulate_media(color_scheme="light")
        page.goto(f"{site}/en/{name}.html{'?q=attention' if name == 'search' else ''}")
        if name in chapters:
            page.evaluate(FORMULAS)
        if name == "search":
            page.locator("#search-results li").first.wait_for()
        page.wait_for_function(SCROLLED)
        assert violations(page, "html") == [], name
        page.emulate_media(color_scheme="dark")
        part = ".live-explorer" if name in chapters else "html"
        assert violations(page, part, runOnly=["color-contrast"]) == [], f"{name} in the dark"


def violations(page, part, **options):
    found = Axe().run(page, part, {"resultTypes": ["violations"], **options}).response["violations"]
    return [(rule["id"], rule["nodes"][0]["html"]) for rule in found]


# ----------------------------------------------------------------------------------------------------------- explorers


def live(page, site, name):
    page.goto(f"{site}/en/chapters/{CHAPTERS[name]}.html")
    return page.locator(".live-explorer")


def move(explorer, label, value):
    explorer.get_by_role("slider", name=label).fill(str(value))


def test_heads_answer_their_slider_as_python_does(page, site):
    python = make_explorers()["heads"]
    explorer = live(page, site, "heads")
    captions = explorer.locator(".caption")
    assert captions.all_text_contents() == python.captions
    for sharpness in (0, 2.5):
        move(explorer, "sharpness", sharpness)
        python.slider.value = sharpness
        assert captions.all_text_contents() == python.captions
        explorer.get_by_role("group", name="query tokens").get_by_role("button", name="balls").hover()
        shown = explorer.locator(".key .number").all_text_contents()
        assert shown == [f"{weight:.2f}" for weight in python.weights.mean(0)[2].tolist()]


def test_masks_are_painted(page, site):
    python = make_explorers()["masks"]
    explorer = live(page, site, "masks")
    explorer.locator(".cell[data-i='0'][data-j='3']").click()
    python.mask = python.mask.index_put((torch.tensor(0), torch.tensor(3)), torch.tensor(True))
    shown = explorer.locator(".cell").all_text_contents()
    expected = [
        f"{weight:.2f}" if seen else ""
        for weight, seen in zip(python.weights.flatten().tolist(), python.mask.flatten().tolist(), strict=True)
    ]
    assert shown == expected
    move(explorer, "layers", 1)
    explorer.get_by_role("button", name="everything").click()
    assert all(explorer.locator(".cell").all_text_contents())


def test_encodings_answer_their_sliders_as_python_does(page, site):
    python = make_explorers()["encodings"]
    explorer = live(page, site, "encodings")
    for clocks, power in ((16, 4), (3, 2.25)):
        move(explorer, "clocks", clocks)
        move(explorer, "base", power)
        python.clocks.value, python.base.value = clocks, 10**power
        waves, points = re.search(r"<div>(wave.+?)</div>.*points='(.+?)'", python.view.value).groups()
        assert explorer.locator("[aria-live]").text_content() == waves
        numbers = [[float(x) for x in re.split("[ ,]", text)] for text in (explorer_points(explorer), points)]
        assert numbers[0] == pytest.approx(numbers[1], abs=0.11)  # of a pixel
        assert explorer.locator("canvas").evaluate("canvas => [canvas.width, canvas.height]") == [20, 2 * clocks]


def explorer_points(explorer):
    return explorer.locator("polyline").get_attribute("points")


def test_sampling_answers_its_sliders_as_python_does(page, site):
    python = make_explorers()["sampling"]
    explorer = live(page, site, "sampling")
    for temperature, top_k, top_p in ((1, 0, 1), (0.5, 0, 0.8), (1.5, 3, 1), (0, 0, 1), (0.7, 12, 0.5)):
        for label, value in {"temperature": temperature, "top-k (0: all)": top_k, "top-p": top_p}.items():
            move(explorer, label, value)
        python.temperature.value, python.top_k.value, python.top_p.value = temperature, top_k, top_p
        expected = BeautifulSoup(python.view.value, "html.parser")
        assert explorer.locator("[aria-live]").text_content() == expected.div.text
        assert explorer.locator("th").all_text_contents() == [head.text for head in expected.select("th")]
        shown, wanted = (
            [float(number) for number in numbers]
            for numbers in (
                explorer.locator(".number").all_text_contents(),
                [number.text for number in expected.select(".number")],
            )
        )
        assert shown == pytest.approx(wanted, abs=0.0011)  # the last digit
    assert "Dogs </script>" in explorer.text_content()


def test_explorers_that_ask_a_model_say_where_they_run(book):
    for name in ("04-encoder-decoder", "05-bart-t5", "06-bert", "08-in-context-learning"):
        page = soup(book / f"en/chapters/{name}.html")
        assert "JupyterLab" in page.select_one(".cell_output .alert").text
        assert not page.select(".live-explorer")


# ------------------------------------------------------------------------------------------------------------ on paper


@pytest.fixture(scope="module")
def printed(chromium, book, tmp_path_factory):
    pypdf = pytest.importorskip("pypdf")
    page = chromium.new_page(color_scheme="dark")
    made = {}
    for name in ("chapters/01-attention", "exercises/01-attention"):
        path = tmp_path_factory.mktemp("printed") / "page.pdf"
        page.goto((book / f"en/{name}.html").as_uri())
        page.evaluate(FORMULAS)
        page.pdf(path=path, format="A4")
        made[name] = pypdf.PdfReader(path)
    page.close()
    return made


def letters(text):
    return re.sub(r"\s", "", text)


def test_a_printed_chapter_has_all_of_its_code(printed, course):
    text = letters("".join(page.extract_text() for page in printed["chapters/01-attention"].pages))
    notebook = nbformat.read(course / "chapters/01-attention.ipynb", as_version=4)
    lines = [line for cell in notebook.cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    long = [line for line in lines if len(line) > 90]
    assert len(long) > 10
    assert [line for line in long if letters(line) not in text] == []


def test_a_printed_chapter_carries_its_fonts_and_knows_its_letters(printed, chromium):
    pages = printed["chapters/01-attention"].pages
    fonts = [font.get_object() for page in pages for font in page["/Resources"]["/Font"].values()]
    for font in fonts:
        inner = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
        descriptor = inner.get("/FontDescriptor", {})
        assert font["/Subtype"] == "/Type3" or {"/FontFile2", "/FontFile3"} & set(descriptor)
    assert "\ufffd" not in "".join(page.extract_text() for page in pages)


def test_printed_hints_stay_folded(printed, course):
    text = letters("".join(page.extract_text() for page in printed["exercises/01-attention"].pages))
    assert "Hint1" in text
    notebook = nbformat.read(course / "exercises/01-attention.ipynb", as_version=4)
    folded = re.findall(
        r"<details>.*?</summary>(.*?)</details>", "\n".join(cell.source for cell in notebook.cells), re.S
    )
    hints = [max(re.split(r"[`$*\\]", text), key=len) for text in folded]
    hints = [hint for hint in hints if len(hint.split()) > 5]
    assert len(hints) > 5
    assert [hint for hint in hints if letters(hint) in text] == []
