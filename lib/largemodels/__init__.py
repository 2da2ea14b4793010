"""Large Models, Layer by Layer (大模型网络结构): the library behind the course.

The modules of this folder are the book, in the order in which it is read, each with the chapter that builds it.

    attention        scores, softmax, heads                                  1
    masks            who may attend to whom                                  2
    positions        seven ways to tell which word comes first               3
    blocks           embedding, norms, feed-forward network, one block       4
    stacks           blocks one after the other, and their memory            4
    encoder_decoder  a stack that reads, a stack that writes                 4
    configs          what all configurations have in common                  4
    transformer      the model of 2017                                       4
    losses           a sum over targets, and their number                    4
    generation       greedy, sampling, beam search                           4, 7
    bart, t5         two encoder-decoders, pre-trained                       5
    denoising        five ways to damage a text, and T5's spans              5
    bert             BERT, ALBERT, RoBERTa                                   6
    masked_lm        the blanks and pairs that BERT learns from              6
    gpt              GPT-1, GPT-2, GPT-3                                     7
    preferences      learning from which answer people prefer                7
    induction        the heads that copy                                     8

What the book needs lies in packages: `tokenizers` and `corpora` (text), `pretrained` (official weights), `training` (the
loop and what belongs to it), `plots` and `explorers` (pictures, and interactive ones), `seeds` and `storage`. The course
itself is run by `course` (JupyterLab, doctor, planner, bench) and `classroom` (exercises, checks, grading); nothing
imports these two. Nothing is imported here, so that ``import largemodels`` costs nothing.
"""

__version__ = "0.1.0"
