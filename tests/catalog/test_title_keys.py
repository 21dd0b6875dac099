"""By what films are sorted and found, in many scripts."""

import random
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from booking_app.catalog.title_keys import DIRECTOR, TEXT, search_key, searched_for, sort_key
from booking_app.core.database import fold

# Each list is in the order of its readers.
SORTED = {
    "signs": ["!!!", "$", "8½", "(500) Days", "¡Átame!", "Éternité", "Łódź", "“Zorro”"],
    "numbers": ["2 Fast", "007", "8½", "8 Mile", "9", "10 Things", "٢٠ Days", "101", "2001", "A"],
    "parts": ["Alien", "Alien 3", "Alien³", "Alien 20", "Aliens"],
    "words": ["La La Land", "Lady Bird", "Ladybird", "Lavish", "L’Avventura", "L'Avventure"],
    "articles": ["A Star", "Star", "The End", "Theatre"],
    "accents": ["cote", "coté", "côte", "côté", "cotes"],
    "Latin": ["ærø", "Ah", "Đak", "Daz", "ışık", "İstanbul", "Istria", "Ødipus", "Ozon", "Straße"],
    "Greek": ["Άλφα", "Ἀλφεύς", "Βήτα", "Σαβ", "ΣΑΣ", "σασά", "Ωμέγα"],
    "Russian": ["Ёлки", "Ель", "Игла", "Йога", "Кино", "Щит", "Ъ", "Ягода"],
    "Ukrainian": ["Гора", "Ґава", "Ера", "Євген", "Жук", "Ива", "Іван", "Їжак", "Кіт", "Якір"],
    "Serbian": ["Два", "Ђак", "Ера", "Ива", "Јован", "Лед", "Љубав", "Мед", "Тата", "Ћуп", "Уво"],
    "Hebrew": ["אבא", "כלב", "לךא", "לכב", "שלום"],
    "Arabic": ["أب", "اب", "باب", "پدر", "تاج", "چراغ", "حب", "ژاله", "سلام", "گل", "يوم"],
    "Thai": ["กา", "เกม", "แก้ว", "ขา", "ฉลาด", "เฮฮา"],
    "Hindi": ["अब", "कल", "क़लम", "काला", "हिंदी"],
    "Japanese": ["アカ", "あき", "ガキ", "かく", "ミ", "むら", "一", "東京"],
    "Korean": ["가", "가나", "각", "나", "하"],
    "scripts": [
        "9",
        "Zorro",
        "Ωμέγα",
        "Яма",
        "Հայ",
        "תל",
        "يوم",
        "हिंदी",
        "ไทย",
        "ქ",
        "ん",
        "東",
        "한",
    ],
}


@pytest.mark.parametrize("titles", SORTED.values(), ids=SORTED)
def test_titles_are_in_the_order_of_their_readers(titles: list[str]) -> None:
    shuffled = random.Random(1).sample(titles, len(titles))
    assert sorted(shuffled, key=sort_key) == titles


def test_case_never_counts_and_a_sort_title_does_alone() -> None:
    assert sort_key("THE END") == sort_key("the end")
    assert sort_key("The Third Man", "Third Man") == sort_key("Third Man")


@pytest.mark.parametrize(
    ("title", "typed"),
    [
        ("Le Fabuleux Destin d'Amélie Poulain", ["amelie", "AMÉLIE", "d’amelie", "damelie"]),
        ("Łódź", ["lodz", "łódź", "Lodź"]),
        ("İstanbul", ["istanbul", "ISTANBUL", "İSTANBUL"]),
        ("Işıklar", ["isik", "ışık"]),
        ("Spider\N{NON-BREAKING HYPHEN}Man", ["spider-man", "spiderman", "spider man"]),
        ("L\N{RIGHT SINGLE QUOTATION MARK}Avventura", ["l'avventura", "lavventura", "avventura"]),
        ("WALL·E", ["wall-e", "wall e", "walle"]),
        ("WALL-E", ["wall·e", "wall e", "walle"]),
        ("Straße ohne Ende", ["strasse", "STRASSE"]),
        ("Ærø & Ødegård", ["aero", "odegard", "ærø"]),
        ("8½", ["8½", "8 1/2"]),
        ("Alien³", ["alien 3", "alien³"]),
        ("Ｆｕｌｌ", ["full"]),
        ("Ёлки", ["елки", "ёлки", "elki"]),
        ("Толстой", ["толстой", "tolstoy", "tolstoi"]),
        ("Ψυχή", ["ψυχη", "ΨΥΧΉ", "psychi"]),
        ("となりのトトロ", ["トトロ", "ととろ", "totoro"]),
        ("東京物語", ["東京", "物語"]),
        ("서울의 봄", ["서울", "seoul"]),
        ("שָׁלוֹם", ["שלום", "שלומ"]),
        ("أحمد", ["احمد"]),
        ("گل", ["گل"]),
        ("ฉลาดเกมส์โกง", ["เกมส์", "เกมส"]),
        ("हिंदी मीडियम", ["हिंदी"]),
        ("!!!", ["!!!", "!!"]),
        ("Help!", ["help", "!"]),
        ("100% Wolf_", ["%", "_", "100%"]),
    ],
)
def test_a_film_is_found_by_what_people_type(title: str, typed: list[str]) -> None:
    key = search_key(title, None, None, None)
    assert [text for text in typed if searched_for(text) not in key] == []


@pytest.mark.parametrize(
    ("title", "typed"),
    [
        ("Amélie", "emilia"),
        ("Alpha", "ア"),  # not by its reading "a"
        ("Slvm", "שלום"),
        ("東京物語", "トトロ"),
        ("Help", "!!!"),
        ("Hindi", "ह"),
    ],
)
def test_a_film_is_not_found_by_something_else(title: str, typed: str) -> None:
    assert searched_for(typed) not in search_key(title, None, None, None)


def test_all_titles_and_the_director_are_searched_and_the_director_alone_too() -> None:
    key = search_key("Spirited Away", "千と千尋の神隠し", "Spirited", "宮崎 駿 (Hayao Miyazaki)")
    titles, director = key.split(DIRECTOR)
    assert all(searched_for(text) in titles for text in ("spirited away", "千尋", "SPIRITED"))
    assert all(searched_for(text) in director for text in ("miyazaki", "宮崎", "hayao-m"))
    assert "miyazaki" not in titles


# As the API takes them: no control characters, no surrogates.
titles = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)


def stripped(text: str) -> str:
    """Without the accents of its letters."""
    parts = unicodedata.normalize("NFD", text)
    return "".join(c for c in parts if not 0x300 <= ord(c) < 0x34F)


@given(titles, st.sampled_from([str, str.upper, str.lower, str.casefold, stripped]))
@example("ΐ", str.upper)
@example("ŉ Łódź", stripped)
@example("e \u0301x", str)
def test_each_word_is_found_however_it_is_typed(title: str, typed: Callable[[str], str]) -> None:
    key = search_key(title, None, None, None)
    for word in title.split():
        if any(c.isalnum() for c in word):
            assert searched_for(typed(word)) in key


@given(titles)
def test_no_query_reaches_from_one_text_into_the_next(title: str) -> None:
    assert not {TEXT, DIRECTOR} & set(searched_for(title))


@given(titles, titles)
def test_the_order_is_the_same_on_both_databases_and_makes_no_more_titles_equal_than_case_does(
    one: str, other: str
) -> None:
    """By code point: SQLite and PostgreSQL compare bytes of UTF-8."""
    keys = sort_key(one), sort_key(other)
    assert (keys[0] < keys[1]) == (keys[0].encode() < keys[1].encode())
    assert (keys[0] == keys[1]) == (fold(one) == fold(other))
    assert "\0" not in keys[0]


@given(titles, st.sampled_from("¡¿\"'«(#…- "))
def test_a_sign_at_the_beginning_moves_a_title_past_its_equals_alone(title: str, sign: str) -> None:
    assume(any(c.isalnum() for c in title[0]))
    assert sort_key(sign + title).split("\t")[0] == sort_key(title).split("\t")[0]


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_numbers_are_sorted_by_value(one: int, other: int) -> None:
    assert (sort_key(f"Part {one}") < sort_key(f"Part {other}")) == (one < other)
