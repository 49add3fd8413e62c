"""The splits: disjoint where they must be, fresh where they should be, and refused where they cannot be sound."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from began.errors import InputError
from experiments.evaluation import protocols
from experiments.evaluation.conditions import LABEL_EFFICIENCY, PERCENTS, at_share
from experiments.evaluation.splits import Inner, Split, check_split


def make_table(n_speakers=5, per_class=4, labels=("anger", "fear", "neutral")):
    rows = [
        {
            "utterance": f"s{speaker}-{label}-{number}",
            "speaker": f"s{speaker}",
            "sex": "FM"[speaker % 2],
            "label": label,
            "video": f"v{speaker}-{number}",
        }
        for speaker in range(n_speakers)
        for label in labels
        for number in range(per_class)
    ]
    return pd.DataFrame(rows)


def make_split(train, validation, test):
    return Split("x", (Inner(train, validation),), test)


def assert_sound(split, table, column=None):
    for inner in split.inner:
        parts = [*inner, split.test]
        assert all(len(part) for part in parts)
        assert len(np.unique(np.concatenate(parts))) == sum(map(len, parts))
        np.testing.assert_array_equal(np.sort(np.concatenate(inner)), split.fitting)
    if len(split.inner) > 1:  # every training utterance is validated on once
        np.testing.assert_array_equal(np.sort(np.concatenate([inner.validation for inner in split.inner])), split.fitting)
    if column:
        assert not set(table[column].iloc[split.fitting]) & set(table[column].iloc[split.test])


def test_leave_one_speaker_out_tests_every_utterance_once_and_mixes_no_speaker():
    table = make_table()
    splits = protocols.leave_one_speaker_out(table)
    assert [split.fold for split in splits] == [f"s{i}" for i in range(5)]
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(table)))
    for split in splits:
        assert_sound(split, table, "speaker")
        for inner in split.inner:
            assert not set(table["speaker"].iloc[inner.validation]) & set(table["speaker"].iloc[inner.train])


def test_inner_folds_of_leave_one_speaker_out_deal_both_sexes():
    table = make_table(9)
    for split in protocols.leave_one_speaker_out(table):
        assert [set(table["sex"].iloc[inner.validation]) for inner in split.inner] == [{"F", "M"}] * 3


def test_leave_one_speaker_out_refuses_three_speakers():
    with pytest.raises(InputError, match="found 3 speakers"):
        protocols.leave_one_speaker_out(make_table(3))


def test_per_speaker_is_stratified_and_fresh_for_every_run():
    table = make_table(2, per_class=10)
    first, again, other = (protocols.per_speaker(table, 0, run) for run in (1, 1, 2))
    for split, same, different in zip(first, again, other, strict=True):
        assert_sound(split, table)
        assert set(table["speaker"].iloc[np.concatenate([split.fitting, split.test])]) == {split.fold}
        assert table["label"].iloc[split.test].value_counts().tolist() == [4, 4, 4]
        assert np.array_equal(split.test, same.test)
        assert not np.array_equal(split.test, different.test)


def test_runs_of_another_seed_are_split_in_another_way_and_those_of_seed_0_as_published():
    table = make_table(2, per_class=10)
    splits = {(seed, run): protocols.per_speaker(table, seed, run) for seed in (0, 1, 2) for run in (1, 2, 3)}
    assert len({split.fingerprint for of_run in splits.values() for split in of_run}) == 9 * 2
    assert [split.fingerprint for split in splits[0, 1]] == ["96628beb", "1b6a01d0"]
    assert [split.fingerprint for split in splits[0, 2]] == ["13e312c0", "4cb582a2"]
    for entropy in ([1, 0], [10, 3]):
        assert np.random.default_rng(entropy).bit_generator.state == np.random.default_rng([*entropy, 0]).bit_generator.state


def test_a_class_of_two_is_in_every_inner_training_part():
    """Three inner folds would leave one of them without it."""
    table = make_table(1, per_class=10).drop(columns="video")
    table = table.drop(index=table.index[table["label"] == "anger"][3:]).reset_index(drop=True)
    for seed in range(20):
        (split,) = protocols.per_speaker(table, seed, 1)
        for inner in split.inner:
            assert set(table["label"].iloc[inner.train]) == set(table["label"].iloc[inner.validation]) == set(table["label"])


def test_per_speaker_refuses_a_class_with_one_utterance():
    table = make_table(2).drop(index=[0, 1])
    with pytest.raises(InputError, match=r"speaker s0: .*anger \(2\)"):
        protocols.per_speaker(table, 0, 1)


@pytest.mark.parametrize(("corpus", "percent"), [(corpus, percent) for corpus in PERCENTS for percent in PERCENTS[corpus]])
def test_a_share_of_the_labels_leaves_the_test_part_whole(corpus, percent):
    table = make_table(4, per_class={"emodb": 60, "savee": 15}[corpus])
    condition = LABEL_EFFICIENCY[corpus]["utterance_head"]
    drawn = [protocols.make_splits(at_share(condition, percent), table, seed=0, run=run) for run in (1, 2)]
    for run, splits in enumerate(drawn, start=1):
        for split, whole in zip(splits, protocols.make_splits(condition, table, seed=0, run=run), strict=True):
            assert_sound(split, table, "speaker" if corpus == "emodb" else None)
            np.testing.assert_array_equal(split.test, whole.test)
            assert set(split.fitting) <= set(whole.fitting)
            for inner in split.inner:
                assert set(table["label"].iloc[inner.validation]) == set(table["label"])
            assert len(split.fitting) / len(whole.fitting) == pytest.approx(percent / 100, rel=0.15)
    assert (drawn[0][0].fitting.tolist() == drawn[1][0].fitting.tolist()) == (percent == 100 and corpus == "emodb")


def test_a_share_of_the_labels_that_is_none_is_refused():
    condition = at_share(LABEL_EFFICIENCY["savee"]["utterance_head"], 5)
    with pytest.raises(InputError, match="5 % of the labels, fold s0: found 9 of 27 training utterances"):
        protocols.make_splits(condition, make_table(4, per_class=15), seed=0, run=1)


def test_official_selects_inside_training_and_tests_on_validation_without_a_test_part():
    table = make_table(6)
    table["split"] = np.where(table["speaker"] == "s5", "validation", "train")
    (split,) = protocols.official(table, 0)
    assert set(table["split"].iloc[split.test]) == {"validation"}
    assert set(table["split"].iloc[split.fitting]) == {"train"}
    for inner in split.inner:
        assert not set(table["video"].iloc[inner.train]) & set(table["video"].iloc[inner.validation])


def test_official_uses_a_validation_part_for_selection_where_there_is_a_test_part():
    table = make_table(6)
    table["split"] = table["speaker"].map({"s5": "test", "s4": "validation"}).fillna("train")
    (split,) = protocols.official(table, 0)
    assert [set(table["split"].iloc[inner.validation]) for inner in split.inner] == [{"validation"}]
    assert set(table["split"].iloc[split.test]) == {"test"}


def test_source_disjoint_leaves_shared_videos_out_of_training():
    table = make_table(6)
    table["split"] = np.where(table["speaker"] == "s5", "validation", "train")
    table.loc[table["speaker"] == "s4", "video"] = table.loc[table["speaker"] == "s5", "video"].to_numpy()
    (split,) = protocols.official(table, 0, disjoint="video")
    assert_sound(split, table, "video")
    assert "s4" not in set(table["speaker"].iloc[split.fitting])


def test_official_tests_on_the_part_that_is_asked_for_and_leaves_others_alone():
    table = make_table(6)
    table["split"] = table["speaker"].map({"s5": "test", "s4": "validation"}).fillna("train")
    (split,) = protocols.official(table, 0, test_part="validation")
    assert set(table["split"].iloc[split.test]) == {"validation"}
    assert set(table["split"].iloc[split.fitting]) == {"train"}
    (without,) = protocols.official(table[table["split"] != "test"], 0, test_part="validation")
    np.testing.assert_array_equal(split.test, without.test)
    np.testing.assert_array_equal(split.fitting, without.fitting)


def test_source_disjoint_leaves_shared_videos_out_of_the_validation_part_too():
    table = make_table(6)
    table["split"] = table["speaker"].map({"s5": "test", "s4": "validation"}).fillna("train")
    shared = table.index[table["speaker"] == "s4"][:3]
    table.loc[shared, "video"] = table.loc[table["speaker"] == "s5", "video"].to_numpy()[:3]
    (split,) = protocols.official(table, 0, disjoint="video")
    assert_sound(split, table, "video")
    assert not set(shared) & set(split.fitting)


def test_a_class_that_is_not_trained_on_is_named():
    table = make_table(6)
    table["split"] = np.where(table["speaker"] == "s5", "test", "train")
    table.loc[table["split"] == "test", "label"] = "surprise"
    with pytest.raises(InputError, match="^the whole test part: found no training utterance of surprise; expected"):
        protocols.official(table, 0)


def test_official_says_which_parts_there_are():
    table = make_table(2).assign(split="validation")
    with pytest.raises(InputError, match=r"found 0 training and 24 test utterances \(column split: validation 24\)"):
        protocols.official(table, 0)


def test_official_needs_the_column_split():
    with pytest.raises(InputError, match="no column split"):
        protocols.official(make_table(), 0)


def test_k_fold_keeps_speakers_together_where_there_are_enough():
    table = make_table(6)
    splits = protocols.k_fold(table, 3, 0)
    for split in splits:
        assert_sound(split, table, "speaker")
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(table)))


def test_k_fold_without_speakers_is_stratified():
    table = make_table(1, per_class=6)
    for split in protocols.k_fold(table, 3, 0):
        assert_sound(split, table)
        assert table["label"].iloc[split.test].value_counts().tolist() == [2, 2, 2]


def test_unknown_speakers_are_no_speaker_to_keep_together():
    table = make_table(3, per_class=6)
    table["speaker"] = table["speaker"].replace("s2", "unknown")
    for split in protocols.k_fold(table, 3, 0):
        assert_sound(split, table)
        assert table["label"].iloc[split.test].value_counts().tolist() == [6, 6, 6]
        assert table["speaker"].iloc[split.test].nunique() == 3
    for split in protocols.k_fold(table, 2, 0):
        assert_sound(split, table, "speaker")


def test_a_class_that_only_the_test_part_has_is_refused():
    table = make_table(5)
    table.loc[table["speaker"] == "s0", "label"] = "surprise"
    with pytest.raises(InputError, match=r"classes of one speaker only: surprise \(s0\)"):
        protocols.leave_one_speaker_out(table)


def test_a_speaker_on_both_sides_is_a_defect():
    table = make_table()
    with pytest.raises(AssertionError, match="on both sides"):
        check_split(make_split(np.arange(5), np.arange(5, 8), np.arange(8, 10)), table, "speaker")
    with pytest.raises(AssertionError, match="two parts"):
        check_split(make_split(np.arange(5), np.arange(4, 8), np.arange(8, 10)), table)


@given(n_speakers=st.integers(4, 9), per_class=st.integers(3, 6), seed=st.integers(0, 1000))
def test_splits_are_sound_whatever_the_corpus(n_speakers, per_class, seed):
    table = make_table(n_speakers, per_class)
    for split in protocols.leave_one_speaker_out(table, seed):
        assert_sound(split, table, "speaker")
    for split in protocols.per_speaker(table, seed, 1):
        assert_sound(split, table)


# ------------------------------------------------------------------------------------------------ equal recordings

SPLITTERS = {
    "leave one speaker out": protocols.leave_one_speaker_out,
    "each speaker alone": lambda table: protocols.per_speaker(table, 0, 1),
    "folds by speaker": lambda table: protocols.k_fold(table, 3, 0),
    "folds by label": lambda table: protocols.k_fold(table.assign(speaker="unknown"), 3, 0),
    "folds without labels": lambda table: protocols.k_fold(table.drop(columns="label").assign(speaker="unknown"), 3, 0),
    "official": lambda table: protocols.official(table.assign(split=official_parts(table)), 0),
    "official, selected on validation": lambda table: protocols.official(table.assign(split=official_parts(table, 3)), 0),
    "source-disjoint": lambda table: protocols.official(table.assign(split=official_parts(table)), 0, disjoint="video"),
    "official without speakers": lambda table: protocols.official(
        table.drop(columns="video").assign(split=official_parts(table), speaker="unknown"), 0
    ),
}


def official_parts(table, n_parts=2):
    return np.array(["train", "train", "test", "validation"])[np.arange(len(table)) % (n_parts + 1)]


def assert_no_sound_on_both_sides(split, sounds):
    assert not set(sounds[split.fitting]) & set(sounds[split.test])
    for inner in split.inner:
        assert not set(sounds[inner.train]) & set(sounds[inner.validation])


@pytest.mark.parametrize("name", SPLITTERS)
@pytest.mark.parametrize("seed", range(5))
def test_a_sound_is_on_one_side_whoever_is_said_to_speak_it(name, seed):
    """Copies of the same speaker and label, of others, and in other parts of an official split."""
    table = make_table(6, per_class=6)
    sounds = np.arange(len(table))
    generator = np.random.default_rng(seed)
    sounds[generator.permutation(len(table))[:12]] = generator.permutation(len(table))[:12]
    table["sound"] = sounds.astype(str)
    assert table["sound"].duplicated().sum() >= 4
    splits = SPLITTERS[name](table)
    for split in splits:
        assert_sound(split, table)
        assert_no_sound_on_both_sides(split, table["sound"].to_numpy())
    if not name.startswith(("official", "source", "each")):  # nothing is left out of the test
        assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(table)))


@pytest.mark.parametrize("name", SPLITTERS)
def test_a_corpus_within_itself_is_split_as_alone(name):
    """As after unpacking into the folder itself: every copy is where its original is."""
    table = make_table(6, per_class=6)
    twice = pd.concat([table, table.assign(utterance="copy/" + table["utterance"])], ignore_index=True)
    twice["sound"] = np.tile(np.arange(len(table)), 2).astype(str)
    alone, doubled = SPLITTERS[name](table), SPLITTERS[name](twice)
    for one, two in zip(alone, doubled, strict=True):
        assert_no_sound_on_both_sides(two, twice["sound"].to_numpy())
        if name != "official, selected on validation":  # its parts, made by row number, are others
            assert set(two.fitting % len(table)) <= set(one.fitting)
            if not name.startswith(("official", "source")):
                np.testing.assert_array_equal(two.test, np.concatenate([one.test, one.test + len(table)]))
                np.testing.assert_array_equal(two.fitting, np.concatenate([one.fitting, one.fitting + len(table)]))


@pytest.mark.parametrize("name", SPLITTERS)
def test_different_sounds_change_no_split(name):
    table = make_table(6, per_class=6)
    with_sounds = SPLITTERS[name](table.assign(sound=table["utterance"]))
    assert [split.fingerprint for split in SPLITTERS[name](table)] == [split.fingerprint for split in with_sounds]


def test_the_test_part_stays_whole_and_its_copies_are_not_trained_on():
    table = make_table(6)
    table["split"] = np.where(table["speaker"] == "s5", "validation", "train")
    table["sound"] = table["utterance"]
    table.loc[[0, 7], "sound"] = table.loc[table["speaker"] == "s5", "sound"].iloc[3]
    (split,) = protocols.official(table, 0)
    assert set(table["speaker"].iloc[split.test]) == {"s5"} and len(split.test) == 12
    assert set(range(60)) - set(split.fitting) == {0, 7}


def test_duplicates_do_not_make_a_class_large_enough():
    table = make_table(1, per_class=1)
    table = pd.concat([table.assign(utterance=table["utterance"] + copy, sound=table["utterance"]) for copy in "abc"])
    table = table.reset_index(drop=True)
    with pytest.raises(InputError, match=r"anger \(1\)"):
        protocols.k_fold(table, 3, 0)
    with pytest.raises(InputError, match="found 4 for 3 recordings"):
        protocols.k_fold(table.drop(columns="label"), 4, 0)
    with pytest.raises(InputError, match=r"anger \(1\)"):
        protocols.per_speaker(table, 0, 1)


def test_a_sound_on_both_sides_is_a_defect():
    table = make_table().assign(sound="the same")
    with pytest.raises(AssertionError, match="sound"):
        check_split(make_split(np.arange(5), np.arange(5, 8), np.arange(8, 10)), table)
