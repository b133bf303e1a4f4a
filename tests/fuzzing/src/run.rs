//! One target's run: inputs, outcomes, and what panicked.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::env;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::random::Random;
use crate::{Target, corpus, mutate};

/// Inputs that are changed further; with more of them each gets too little.
const POOL_MAX: usize = 3_000;
/// Runs that making one panicking input smaller may take.
const SHRINK_RUNS_MAX: usize = 5_000;

/// What a run saw.
#[derive(Debug)]
pub struct Ran {
    /// How many inputs were read.
    pub inputs: u64,
    /// Different shapes of what came of them.
    pub outcomes: usize,
    /// How many inputs panicked.
    pub panics: u64,
    /// A small input for each place that panicked.
    pub failures: Vec<Failure>,
    /// The first input of each outcome that is not in the corpus.
    pub found: Vec<Vec<u8>>,
    /// How long it took.
    pub took: Duration,
}

/// A panic.
#[derive(Debug)]
pub struct Failure {
    /// Its message and place.
    pub said: String,
    /// A small input that gives it, in a file.
    pub file: PathBuf,
}

/// Feeds a target with inputs.
///
/// # Errors
/// When a panicking input can't be written down.
pub fn run(target: &Target, seed: u64, inputs: u64) -> Result<Ran> {
    let started = Instant::now();
    let mut random = Random::new(seed);
    let mut pool = (target.seeds)();
    pool.extend(corpus::kept(target.name));
    if pool.is_empty() {
        pool.push(Vec::new());
    }
    let known = pool.len();
    let mut outcomes = HashSet::new();
    let mut panicked: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let (mut panics, mut found) = (0, Vec::new());
    for number in 0..inputs {
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let input = if number < known {
            pool[number].clone()
        } else {
            next(target, &pool, &mut random)
        };
        match outcome(target, &input) {
            Ok(outcome) => {
                if outcomes.insert(outcome) && number >= known {
                    found.push(input.clone());
                    if pool.len() < POOL_MAX {
                        pool.push(input);
                    }
                }
            }
            Err(said) => {
                panics += 1;
                panicked.entry(place(&said).to_owned()).or_insert(input);
            }
        }
    }
    let failures = panicked
        .into_values()
        .map(|input| write_down(target, &input))
        .collect::<Result<_>>()?;
    Ok(Ran {
        inputs,
        outcomes: outcomes.len(),
        panics,
        failures,
        found,
        took: started.elapsed(),
    })
}

/// Reads one input again, escaped as in a corpus, and gives what comes of it or the panic.
///
/// # Errors
/// When the file can't be read.
pub fn replay(target: &Target, file: &Path) -> Result<Result<String, String>> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    Ok(outcome(
        target,
        &corpus::unescaped(text.trim_end_matches('\n')),
    ))
}

fn next(target: &Target, pool: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    // What was found last leads on; the rest keeps its turn.
    let newest = pool.len().saturating_sub(16);
    let base = match random.one_in(4) {
        true => random.of(&pool[newest..]),
        false => random.of(pool),
    };
    let other = random.of(pool);
    let (Some(base), Some(other)) = (base, other) else {
        return Vec::new();
    };
    mutate::mutated(target.grammar, base, other, random)
}

thread_local! {
    /// What the last panic of a thread said, while panics are caught here.
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What came of an input, or the panic.
fn outcome(target: &Target, input: &[u8]) -> Result<String, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |panic| {
            let caught = SAID.with(|said| {
                let mut said = said.borrow_mut();
                let caught = said.is_some();
                *said = Some(panic.to_string());
                caught
            });
            if !caught {
                loud(panic);
            }
        }));
    });
    SAID.set(Some(String::new()));
    let done = catch_unwind(AssertUnwindSafe(|| (target.read)(input)));
    let said = SAID.take().unwrap_or_default();
    done.map_err(|_| said)
}

/// The line of a panic's text that says where it was.
fn place(said: &str) -> &str {
    said.lines().next().unwrap_or_default()
}

fn write_down(target: &Target, input: &[u8]) -> Result<Failure> {
    let said = outcome(target, input).err().unwrap_or_default();
    let same = |input: &[u8]| outcome(target, input).is_err_and(|now| place(&now) == place(&said));
    let small = shrunk(input, same);
    let number = small.iter().fold(0_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let file = env::temp_dir().join(format!("tandem-fuzz-{}-{number:016x}", target.name));
    fs::write(&file, corpus::escaped(&small) + "\n")
        .with_context(|| format!("write {}", file.display()))?;
    Ok(Failure { said, file })
}

/// Leaves out as much of an input as can be left out.
fn shrunk(input: &[u8], same: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut small = input.to_vec();
    let mut runs = 0;
    let mut length = small.len().div_ceil(2).max(1);
    while runs < SHRINK_RUNS_MAX {
        let before = small.len();
        let mut at = 0;
        while at < small.len() && runs < SHRINK_RUNS_MAX {
            let mut shorter = small.clone();
            shorter.drain(at..(at + length).min(small.len()));
            runs += 1;
            match same(&shorter) {
                true => small = shorter,
                false => at += length,
            }
        }
        match length {
            1 if small.len() == before => break,
            1 => {}
            _ => length /= 2,
        }
    }
    small
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Grammar;

    fn breaks_at_two_exclamation_marks(input: &[u8]) -> String {
        let marks = input.iter().filter(|byte| **byte == b'!').count();
        assert!(marks < 2, "two of them");
        format!("{marks}")
    }

    #[test]
    fn a_panic_is_found_and_made_small_and_the_seed_repeats_it() {
        let target = Target {
            name: "self-test",
            grammar: Grammar::Text(&["!"]),
            seeds: || vec![b"hello ! world".to_vec()],
            read: breaks_at_two_exclamation_marks,
        };
        let ran = [(); 2].map(|()| run(&target, 7, 3_000).expect("it can be written down"));
        for ran in &ran {
            assert!(ran.panics > 0);
            let [failure] = ran.failures.as_slice() else {
                panic!("{:?}", ran.failures);
            };
            assert!(failure.said.contains("two of them"), "{failure:?}");
            let kept = fs::read_to_string(&failure.file).expect("it is there");
            assert_eq!(kept, "!!\n");
            let again = replay(&target, &failure.file).expect("it is there");
            assert!(again.is_err_and(|said| said.contains("two of them")));
        }
        assert_eq!(ran[0].panics, ran[1].panics);
        fs::remove_file(&ran[0].failures[0].file).expect("it is there");
    }
}
