"""In: XML, some of it hostile. Out: its elements, or one line that refuses it."""

import http.server
import threading

import pytest

from vaner.errors import FormatError
from vaner.formats import READERS, read
from vaner.xml import content, elements, root_name

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
# Readers, what surrounds a text, and what it starts with.
XML = {
    "bioc": "<collection{a}><document><id>1</id><passage><offset>0</offset><text>{}</text></passage></document>"
    "</collection>",
    "jats": "<article{a}><body><p>{}</p></body></article>",
    "pubmed": "<PubmedArticleSet{a}><PubmedArticle><MedlineCitation><PMID>1</PMID><Article>"
    "<ArticleTitle>{}</ArticleTitle></Article></MedlineCitation></PubmedArticle></PubmedArticleSet>",
}
NO_XML = {"brat", "conll", "jsonl", "medline", "pubtator", "text"}


def hostile(name, declared, text, attribute=""):
    return f"<!DOCTYPE x [{declared}]>{XML[name].format(text, a=attribute)}"


@pytest.mark.parametrize("name", XML)
@pytest.mark.parametrize(
    ("declared", "text", "attribute"),
    [
        (f'<!ENTITY l0 "lol">{LAUGHS}', "&l9;", ""),
        (f'<!ENTITY l0 "lol">{LAUGHS}', "", ' a="&l9;"'),
        (f'<!ENTITY l0 "lol">{LAUGHS}', "none", ""),
        ('<!ENTITY a "x">', "&a;", ""),
        ('<!ENTITY a "&a;">', "&a;", ' a="&a;"'),
        ('<!ENTITY % p SYSTEM "file:///etc/passwd">%p;', "t", ""),
        ('<!ENTITY x SYSTEM "file:///etc/passwd">', "&x;", ""),
    ],
    ids=[
        "laughs",
        "laughs in an attribute",
        "declared only",
        "internal",
        "of itself",
        "parameter",
        "external",
    ],
)
def test_declared_entities_are_refused(make, name, declared, text, attribute):
    path = make("x.xml", hostile(name, declared, text, attribute))
    with pytest.raises(
        FormatError, match=r"x\.xml(:\d+)?: declares XML entities, which are not read"
    ) as error:
        list(read(path, name, on_error="skip"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", XML)
def test_nothing_is_fetched(make, name, tmp_path):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/x.dtd"
        dtd = make("x.dtd", '<!ENTITY e "read from the file"><!ATTLIST p q CDATA "default">')
        for system in (address, dtd.as_uri(), "x.dtd"):
            path = make("x.xml", f'<!DOCTYPE x SYSTEM "{system}">{XML[name].format("text", a="")}')
            (document,) = read(path, name)
            assert document.text == "text"
            path = make("x.xml", f'<!DOCTYPE x SYSTEM "{system}">{XML[name].format("a &e; b", a="")}')
            with pytest.raises(FormatError, match="the entity &e; is not known here; write the character"):
                list(read(path, name))
        server.shutdown()
    assert asked == []


@pytest.mark.parametrize("name", XML)
def test_an_entity_without_any_definition_is_named(make, name):
    path = make("x.xml", XML[name].format("a\n&e; b", a=""))
    with pytest.raises(FormatError, match=r"x\.xml:2: the entity &e; is not known here; write the character"):
        list(read(path, name))


def test_every_reader_of_xml_is_tried():
    assert set(XML) == READERS.keys() - NO_XML


@pytest.mark.parametrize("name", XML)
def test_deep_and_long_xml_is_refused_in_one_line(make, name):
    deep = make("deep.xml", XML[name].format("<x>" * 5000 + "</x>" * 5000, a=""))
    with pytest.raises(FormatError, match=r"deep\.xml:1: no well-formed XML") as error:
        list(read(deep, name))
    assert "\n" not in str(error.value)


def test_elements_are_the_outermost_and_leave_nothing_behind(make):
    path = make("x.xml", "<r>" + "<a n='1'><a n='2'/><b/></a>\n<!-- c --><z/>" * 20_000 + "</r>")
    sizes = []
    for element in elements(path, ["a"]):
        assert element.get("n") == "1" and len(element) == 2
        sizes.append(len(element.getparent()))
    # The parser is one chunk of 32 KB ahead.
    assert len(sizes) == 20_000 and max(sizes) < 4_000


def test_lines_of_long_files(make):
    path = make("x.xml", "<r>" + "\n" * 70_000 + "<a/></r>")
    assert [element.sourceline for element in elements(path, ["a"])] == [70_001]


def test_content_leaves_out_comments_and_instructions(make):
    element = next(elements(make("x.xml", "<a>x<!-- c -->y<?p q?>z<b>!</b></a>"), ["a"]))
    assert content(element) == "xyz!" and content(None) == ""


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xef\xbb\xbf <?xml version='1.0'?>\n<a/>", "a"),
        (b"<!DOCTYPE a [<!ELEMENT b ANY>\n]><!-- <c> --><x:a y='z'>", "a"),
        (b"<!DOCTYPE a PUBLIC '-//X//EN' 'x.dtd'><pmc-articleset>", "pmc-articleset"),
        (b"<!-- never closed <a>", None),
        (b"text", None),
        (b"", None),
    ],
)
def test_the_name_of_the_root(start, name):
    assert root_name(start) == name
