//! Inputs for each stage: text for the reader, functions that mean nothing for the verifier,
//! functions that are valid for the compiler.

mod lines;
mod rows;
mod structure;
mod text;

use clap::ValueEnum;
use nopal_fuzzgen::Rng;
use nopal_ir::Function;
use structure::Sample;

/// What inputs are aimed at: most of them come this far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Stage {
    /// Text of any kind.
    Reader,
    /// Text that reads as functions, most of which are not valid.
    Verifier,
    /// Functions that are valid.
    Compiler,
}

impl Stage {
    const ALL: [Stage; 3] = [Stage::Reader, Stage::Verifier, Stage::Compiler];
}

/// The most functions that are kept.
const KEPT: usize = 4000;
/// Functions with more instructions are not mutated again: they take long and show little.
const LONG: usize = 300;

/// Texts and functions, and new ones made of them.
pub(crate) struct Mutator {
    texts: text::Texts,
    functions: Vec<Function>,
    aim: Option<Stage>,
}

impl Mutator {
    /// Mutate `texts` and the functions in them that are valid, for one stage or for each in turn.
    pub(crate) fn new(
        texts: Vec<Vec<u8>>,
        functions: Vec<Function>,
        aim: Option<Stage>,
    ) -> Mutator {
        Mutator {
            texts: text::Texts::new(texts),
            functions,
            aim,
        }
    }

    /// A new text.
    pub(crate) fn next(&mut self, rng: &mut Rng, largest: usize) -> Vec<u8> {
        let aim = self.aim.unwrap_or_else(|| rng.pick(&Stage::ALL));
        let mut text = match aim {
            Stage::Reader => self.texts.next(rng),
            aim => {
                let from = &self.functions[rng.below(self.functions.len())];
                Sample::new(from).mutate(rng, aim == Stage::Compiler)
            }
        };
        text.truncate(largest);
        text
    }

    /// Mutate this text, in which these functions are valid, as well from here on.
    pub(crate) fn keep(&mut self, text: Vec<u8>, functions: Vec<Function>, rng: &mut Rng) {
        if !rng.chance(5) {
            return;
        }
        self.texts.keep(text, rng);
        for func in functions.into_iter().filter(|f| f.num_insts() <= LONG) {
            if self.functions.len() < KEPT {
                self.functions.push(func);
            } else {
                let n = rng.below(KEPT);
                self.functions[n] = func;
            }
        }
    }
}
