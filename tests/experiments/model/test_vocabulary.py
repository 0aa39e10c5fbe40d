"""The text encoder of the demonstrator: every word of the captions has a token, and captions are told apart."""

import torch

from docs.experiments.model.vocabulary import encoder_of, tokenizer_of
from singdiffusion.base.text import TextEncoder

CAPTIONS = ["a red apple on a black background", "cat", "Twelve o’clock", "apple a"]


def states(encoder, captions):
    return encoder(captions, torch.device("cpu"), torch.float32)


def test_words_are_tokens_and_others_unknown():
    tokenizer = tokenizer_of(CAPTIONS)
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    assert len(tokenizer) == 4 + 11
    assert tokenizer.model_max_length == 7 + 2
    assert tokenizer("").input_ids == [start, end]
    assert tokenizer("dog cat").input_ids == [start, tokenizer.unk_token_id, tokenizer.vocab["cat"], end]
    assert tokenizer("twelve O’CLOCK").input_ids == tokenizer(CAPTIONS[2]).input_ids
    ids = {token for caption in CAPTIONS for token in tokenizer(caption).input_ids}
    assert ids == set(range(len(tokenizer))) - {tokenizer.pad_token_id, tokenizer.unk_token_id}


def test_captions_are_told_apart_and_the_seed_decides():
    captions = [*CAPTIONS, "a apple", ""]
    one, same, other = (states(encoder_of(CAPTIONS, 64, 1, seed), captions) for seed in (0, 0, 1))
    assert one.shape == (6, 9, 64) and torch.equal(one, same) and not torch.equal(one, other)
    between = torch.cdist(one.flatten(1), one.flatten(1)) / one.flatten(1).norm(dim=1)
    assert float((between + torch.eye(6)).min()) > 0.2


def test_it_is_stored_and_loaded(tmp_path):
    encoder = encoder_of(CAPTIONS, 64, 1)
    encoder.save(tmp_path)
    torch.testing.assert_close(states(TextEncoder.stored(tmp_path), CAPTIONS), states(encoder, CAPTIONS))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    encoder_of(CAPTIONS, 64, 1)
    assert torch.equal(torch.rand(3), expected)
