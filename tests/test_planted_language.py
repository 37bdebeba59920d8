"""Tests of planted languages: labels, frequencies, held-out entries, pairs, configs."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.metrics import adjusted_mutual_info_score

from quantascope.core.rng import stream
from quantascope.lm.planted.config import CONFIGS, PlantedConfig, format_source, parse_source
from quantascope.lm.planted.facts import FACTS
from quantascope.lm.planted.language import NOISE, SYNTAX, Language
from quantascope.lm.planted.skill import Draws, answer
from quantascope.lm.planted.source import planted_words
from tests.planted_reader import read_natural, read_picks, read_silent, without_noise

CHANCE = 1e-6  # false alarms allowed when a seed changes
RESERVED = {NOISE, SYNTAX}


@pytest.fixture(scope="module", params=CONFIGS)
def language(request):
    return Language(CONFIGS[request.param])


def flat(language, *, n_documents=150, split="test", seed=3):
    return [language.document(seed, i, split=split) for i in range(n_documents)]


def misread(language, documents):
    """Answers that the independent reader reads otherwise, and how many it read."""
    read = {
        "planted": lambda skill, words: read_natural(skill, words, FACTS),
        "silent": read_silent,
        "picks": read_picks,
    }[language.config.world]
    wrong, n_read = [], 0
    for document in documents:
        words = [word.text for word in document.words]
        start = 0
        for at, word in enumerate(document.words):
            if word.labels[0].sub_skill == "cue" and word.labels[0].skill == NOISE:
                start = at + 1
            skills = [label.skill for label in word.labels if label.skill not in RESERVED]
            found = {read(skill, without_noise(words[start:at])) for skill in skills}
            readable = bool(found) and None not in found
            n_read += readable
            if readable and word.text not in found:
                wrong.append((skills, words[start : at + 1]))
    return wrong, n_read


def test_every_labelled_answer_is_what_an_independent_reader_expects(language):
    documents = flat(language)
    wrong, n_read = misread(language, documents)
    answers = sum(
        word.labels[0].skill not in RESERVED for document in documents for word in document.words
    )
    assert wrong == []
    least = 0.25 if language.config.world == "silent" else 1.0  # tables are known from text alone
    assert answers > 500
    assert n_read >= least * answers


def test_the_reader_sees_a_label_that_was_broken(language):
    documents = flat(language, n_documents=40)
    for document in documents:
        for at, word in enumerate(document.words):
            if word.labels[0].skill not in RESERVED:
                broken = word._replace(text="7")
                words = (*document.words[:at], broken, *document.words[at + 1 :])
                object.__setattr__(document, "words", words)
                break
    assert misread(language, documents)[0]


def test_tables_of_the_silent_world_give_one_answer_to_one_entry():
    language = Language(CONFIGS["silent"])
    answers = {}
    for document in flat(language, n_documents=400):
        for word in document.words:
            label = word.labels[0]
            if len(word.labels) == 1 and label.skill not in RESERVED:
                answers.setdefault(label[:3], set()).add(word.text)
    assert len(answers) > 150
    assert all(len(found) == 1 for found in answers.values())


def answer_counts(language, n_documents):
    rank = {skill.name: at for at, skill in enumerate(language.skills)}
    counts = np.zeros(len(rank))
    for document in flat(language, n_documents=n_documents):
        for word in document.words:
            if len(word.labels) == 1 and word.labels[0].skill in rank:
                counts[rank[word.labels[0].skill]] += 1
    return counts


def block_p_value(language, counts):
    """Chi-square of blocks, which are independent; answers of one block are not."""
    n_answers = np.array([skill.n_answers for skill in language.skills])
    blocks, shares = counts / n_answers, language.frequencies / n_answers
    assert np.all(blocks == blocks.astype(int))
    return chisquare(blocks, shares / shares.sum() * blocks.sum()).pvalue


def test_answers_have_the_zipf_frequencies_of_the_config(language):
    twenty = Language(replace(language.config, polygenic_share=0.2, n_skills=20))
    counts = answer_counts(twenty, 500)
    assert block_p_value(twenty, counts) > CHANCE
    steeper = Language(replace(twenty.config, alpha=0.6))
    assert block_p_value(steeper, counts) < CHANCE


def test_shares_of_noise_and_of_polygenic_blocks_are_those_of_the_config():
    """Binomial: within 5 standard errors (false alarms 6e-7)."""
    language = Language(replace(CONFIGS["silent"], noise_share=0.2, polygenic_share=0.3))
    documents = flat(language, n_documents=300)
    words = [word for document in documents for word in document.words]
    plain = np.mean([word.labels[0][:2] == (NOISE, "plain") for word in words])
    answers = [word for word in words if word.labels[0].skill not in RESERVED]
    shared = np.mean([len(word.labels) == 2 for word in answers])
    assert abs(plain - 0.2) < 5 * np.sqrt(0.16 / len(words))
    assert abs(shared - 0.3) < 5 * np.sqrt(0.21 / len(answers))


def test_weights_of_every_word_sum_to_one(language):
    for document in flat(language, n_documents=30):
        for word in document.words:
            assert sum(label.weight for label in word.labels) == 1.0


def test_held_out_entries_are_never_in_training_text_and_every_rule_has_one(language):
    skills = {skill.name: skill for skill in language.skills}
    n_test = 0
    for split in ("train", "test"):
        for document in flat(language, n_documents=300, split=split):
            for label in (label for word in document.words for label in word.labels):
                if label.skill not in RESERVED:
                    slot = answer("", label.sub_skill, label.entry)
                    is_new = language.is_held_out(skills[label.skill], slot)
                    assert label.held_out or not is_new
                    assert not (label.held_out and split == "train")
                    n_test += is_new
    assert n_test > 50
    draws = Draws(stream(5, "test"))
    for skill in language.skills:
        slots = [slot for _ in range(300) for slot in skill.write(skill.draw(draws)) if slot.entry]
        flags = {language.is_held_out(skill, slot) for slot in slots}
        assert flags in ({True, False}, set()), skill.name


def test_a_held_out_share_of_zero_holds_nothing_out():
    language = Language(replace(CONFIGS["silent"], held_out_share=0.0))
    labels = [x for d in flat(language, n_documents=50) for word in d.words for x in word.labels]
    assert not any(label.held_out for label in labels)


def test_pairs_differ_in_one_cue_and_its_answers_only(language):
    differing = 0
    for i in range(0, 60, 2):
        one, other = (language.document(0, i + k, split="pairs").words for k in (0, 1))
        assert len(one) == len(other)
        unlike = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
        cue, *answers = unlike
        assert (cue[0].labels[0].sub_skill, cue[1].labels[0].sub_skill) == ("cue", "cue")
        skills = {tuple(word.labels[0].skill for word in pair) for pair in answers}
        assert len(skills) == 1
        assert len(set(skills.pop())) == 2
        differing += any(a.text != b.text for a, b in answers)
    assert differing > 10


def test_documents_depend_on_seed_split_and_place_alone(language):
    again = Language(language.config)
    late = language.document(1, 7, split="test")
    assert again.document(1, 7, split="test") == late
    texts = {late.text, *(language.document(s, 7, split="test").text for s in (2, 3))}
    texts |= {language.document(1, 8, split="test").text}
    texts |= {language.document(1, 7, split="train").text}
    assert len(texts) == 5


def test_the_natural_world_has_sixty_skills_and_more():
    language = Language(CONFIGS["planted"])
    assert len(language.skills) >= 60
    assert len({skill.kind for skill in language.skills}) >= 12


def test_cues_are_unlike_each_other_and_every_other_word(language):
    cues = {skill.cue for skill in language.skills}
    assert len(cues) == len(language.skills)
    others = {
        word.text
        for document in flat(language, n_documents=300)
        for word in document.words
        if word.labels[0][:2] != (NOISE, "cue")
    }
    assert not cues & others
    assert cues | others <= set(
        planted_words(language.config.world, law_seed=language.config.law_seed)
    )


def test_the_surface_of_the_silent_worlds_gives_no_skill_away():
    """The word before each answer is the same; each word answers for many skills."""
    for name in ("silent", "picks"):
        language = Language(CONFIGS[name])
        before, skills_of = set(), {}
        for document in flat(language, n_documents=600):
            for left, word in zip(document.words, document.words[1:], strict=False):
                if word.labels[0].skill not in RESERVED:
                    before.add(left.text)
                    skills_of.setdefault(word.text, set()).add(word.labels[0].skill)
        assert before == {"="}
        assert min(map(len, skills_of.values())) >= 10


def target_information(name):
    """Measure how much the answer word says of the skill; 0 is chance."""
    language = Language(CONFIGS[name])
    rows = [
        (word.labels[0].skill, word.text)
        for document in flat(language, n_documents=200)
        for word in document.words
        if len(word.labels) == 1 and word.labels[0].skill not in RESERVED
    ]
    return adjusted_mutual_info_score(*zip(*rows, strict=True))


def test_the_target_says_the_skill_in_the_natural_world_and_not_in_silent_ones():
    """Measured on 600 documents: .66, .04, .06."""
    assert target_information("planted") > 0.5
    assert target_information("silent") < 0.1
    assert target_information("picks") < 0.1


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("planted:nowhere", "nowhere"),
        ("planted:", "no planted language"),
        ("planted:silent,alpha=0", "alpha"),
        ("planted:silent,alpha=nan", "alpha"),
        ("planted:silent,alpha=-1", "alpha"),
        ("planted:silent,n_skills=1", "n_skills"),
        ("planted:silent,n_skills=-3", "n_skills"),
        ("planted:silent,n_skills=2.5", "int"),
        ("planted:silent,noise_share=1", "noise_share"),
        ("planted:silent,polygenic_share=-0.1", "polygenic_share"),
        ("planted:silent,held_out_share=nan", "held_out_share"),
        ("planted:silent,blocks_per_document=0", "blocks_per_document"),
        ("planted:silent,blocks_per_document=65", "1 to 64"),
        ("planted:silent,max_fillers=-1", "max_fillers"),
        ("planted:silent,max_fillers=1000000", "max_fillers"),
        ("planted:silent,colour=red", "colour"),
        ("planted:silent,alpha", "key=value"),
        ("planted:silent,split=dev", "split"),
    ],
)
def test_bad_sources_are_refused_in_one_line(spec, word):
    with pytest.raises(ValueError, match=word) as caught:
        parse_source(spec)
    assert "\n" not in str(caught.value)


def test_a_world_is_not_asked_for_more_skills_than_it_has():
    with pytest.raises(ValueError, match="has 29"):
        Language(PlantedConfig(world="silent", n_skills=30))


def test_pairs_and_shared_blocks_need_skills_that_can_be_exchanged():
    apart = replace(CONFIGS["planted"], n_skills=2, polygenic_share=0.0)
    language = Language(apart)
    assert language.document(0, 0, split="test").words
    with pytest.raises(ValueError, match="split=pairs"):
        language.document(0, 0, split="pairs")
    with pytest.raises(ValueError, match="polygenic_share: 0.2 found"):
        Language(replace(apart, polygenic_share=0.2))


def test_too_large_a_held_out_share_says_which_skill_starves():
    language = Language(replace(CONFIGS["silent"], held_out_share=0.999))
    with pytest.raises(ValueError, match="held_out_share"):
        language.document(0, 0, split="train")


@pytest.mark.parametrize("spec", ["planted:silent", "planted:planted,alpha=0.7,split=train"])
def test_sources_survive_a_round_trip(spec):
    assert format_source(parse_source(spec)) == spec
