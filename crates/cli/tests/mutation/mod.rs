//! Seeded mutation of files, and what a reader of them must bear: no panic, no hang, no unbounded memory.

use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Inputs of a kind, where the variable `DESCANT_MUTATIONS` does not say another number.
const COUNT: usize = 2000;
/// What reading one input may take, on a machine that others use too.
const LONGEST: Duration = Duration::from_secs(60);
/// What reading one input may take of memory beyond twice its size: as much as the process grows meanwhile.
const GROWTH: usize = 100 << 20;
/// What the process may take of memory's addresses: an allocation beyond aborts, which fails the test.
const MEMORY: u64 = 8 << 30;

/// Numbers and values at the edges of what readers expect.
const VALUES: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "255",
    "256",
    "65535",
    "65536",
    "16777216",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "0.5",
    "-0.0",
    "1e-320",
    "1e308",
    "1e999",
    "-1e999",
    "nan",
    "inf",
    "NaN",
    "null",
    "true",
    "false",
    "\"\"",
    "\"a\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "{\"\": 0}",
    "{\"type\": \"Sequence\"}",
];

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len + 1);
        let most = if self.below(4) == 0 { len - start } else { (len - start).min(16) };
        start..start + self.below(most + 1)
    }

    fn value(&mut self) -> String {
        match self.below(40) {
            0 => "[".repeat(5000),
            1 => format!("\"{}\"", "a".repeat(70_000)),
            _ => VALUES[self.below(VALUES.len())].to_owned(),
        }
    }
}

/// `original` with one to four changes.
pub fn mutated(original: &[u8], seed: u64) -> Vec<u8> {
    let mut dice = Dice(seed);
    let mut bytes = original.to_vec();
    if dice.below(2) == 0
        && let Ok(mut json) = serde_json::from_slice::<Value>(original)
    {
        for _ in 0..=dice.below(2) {
            change(&mut json, &mut dice);
        }
        return json.to_string().into_bytes();
    }
    for _ in 0..=dice.below(4) {
        change_bytes(&mut bytes, &mut dice);
    }
    bytes
}

/// Another value, a missing or doubled entry somewhere in `json`.
fn change(json: &mut Value, dice: &mut Dice) {
    match json {
        Value::Object(map) if !map.is_empty() && dice.below(8) > 0 => {
            let key = map.keys().nth(dice.below(map.len())).cloned().unwrap_or_default();
            match dice.below(8) {
                0 => drop(map.remove(&key)),
                1 => {
                    let value = map[&key].clone();
                    map.insert(format!("{key}2"), value);
                }
                _ => map.get_mut(&key).into_iter().for_each(|value| change(value, dice)),
            }
        }
        Value::Array(list) if !list.is_empty() && dice.below(8) > 0 => {
            let i = dice.below(list.len());
            match dice.below(8) {
                0 => drop(list.remove(i)),
                1 => list.insert(i, list[i].clone()),
                _ => change(&mut list[i], dice),
            }
        }
        Value::String(text) if dice.below(2) == 0 => *text = text.repeat(1 + dice.below(100)),
        other => *other = serde_json::from_str(&dice.value()).unwrap_or(Value::Null),
    }
}

fn change_bytes(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let len = bytes.len();
    match dice.below(9) {
        0 if len > 0 => {
            let i = dice.below(len);
            bytes[i] ^= 1 << dice.below(8);
        }
        1 => bytes.truncate(dice.below(len + 1)),
        2 => drop(bytes.drain(dice.range(len))),
        3 => {
            let range = dice.range(len);
            let piece = bytes[range.clone()].repeat(1 + dice.below(50));
            bytes.splice(range.end..range.end, piece);
        }
        4 => {
            let at = dice.below(len + 1);
            bytes.splice(at..at, dice.value().into_bytes());
        }
        // A number of several bytes, as binary files have them.
        5 | 6 if len >= 8 => {
            let edges = [0, 1, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, u64::MAX >> 1, u64::MAX, 1 << 40, len as u64];
            let width = [2, 4, 8][dice.below(3)];
            let at = dice.below(len / width) * width;
            bytes[at..at + width].copy_from_slice(&edges[dice.below(edges.len())].to_le_bytes()[..width]);
        }
        // A number or a word in a text.
        _ => {
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_".contains(&byte);
            let start = dice.below(len + 1);
            let start = start + bytes[start..].iter().position(|&byte| is_word(byte)).unwrap_or(len - start);
            let end = start + bytes[start..].iter().position(|&byte| !is_word(byte)).unwrap_or(len - start);
            bytes.splice(start..end, dice.value().into_bytes());
        }
    }
}

/// Gives `read` mutants of the originals, and fails where it panics or does not come back. The input that is being read
/// lies in `target/tmp/mutant-NAME`, also after an abort.
pub fn survives(name: &'static str, originals: Vec<Vec<u8>>, mut read: impl FnMut(&[u8]) + Send + 'static) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::As).maximum;
    let current = Some(maximum.map_or(MEMORY, |maximum| maximum.min(MEMORY)));
    setrlimit(Resource::As, Rlimit { current, maximum }).unwrap();
    let count = std::env::var("DESCANT_MUTATIONS").ok().map_or(COUNT, |count| count.parse().unwrap());
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mutant-{name}"));
    let now = Arc::new(Mutex::new((0, Instant::now())));
    let (shared, input) = (now.clone(), place.clone());
    let worker = std::thread::Builder::new().name(format!("mutants of {name}")).spawn(move || {
        for i in 0..count {
            let bytes = mutated(&originals[i % originals.len()], i as u64);
            std::fs::write(&input, &bytes).unwrap();
            *shared.lock().unwrap() = (i, Instant::now());
            let before = memory("VmRSS");
            // The peak so far is reset, where the system can do that.
            let is_reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
            if catch_unwind(AssertUnwindSafe(|| read(&bytes))).is_err() {
                return Err((i, "panics".to_owned()));
            }
            let grown = memory("VmHWM").saturating_sub(before);
            if is_reset && grown > 2 * bytes.len() + GROWTH {
                return Err((i, format!("of {} bytes takes {grown} bytes of memory", bytes.len())));
            }
        }
        Ok(())
    });
    let worker = worker.unwrap();
    while !worker.is_finished() {
        std::thread::sleep(Duration::from_millis(20));
        let (i, since) = *now.lock().unwrap();
        assert!(since.elapsed() < LONGEST, "mutant {i} of {name} is not read within {LONGEST:?}: {}", place.display());
    }
    if let Err((i, what)) = worker.join().unwrap() {
        panic!("mutant {i} of {name} {what}: {}", place.display());
    }
}

/// Bytes of memory that this process has, by a key of Linux; 0 elsewhere.
fn memory(key: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).map_or(0, |kilobytes: usize| kilobytes << 10)
}
