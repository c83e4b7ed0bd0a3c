//! What may go wrong between a client and an HTTP server, and when it does: a pure function of a seed and the request.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::header::RANGE;
use hyper::{Method, Request, Uri};

/// Something that goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An error status, instead of the server's answer.
    Status(u16),
    /// The connection is reset before the server hears of the request.
    ResetBefore,
    /// The server does as it is asked; the connection is reset instead of its answer.
    LostAnswer,
    /// The server gets half of the body, and then the connection to both sides is reset.
    TornUpload,
    /// The server is asked twice, and its second answer counts.
    Twice,
    /// The answer begins late.
    Late(Duration),
    /// The body comes in small pieces with pauses.
    Trickle,
    /// The connection is reset half-way through the body.
    ResetWithin,
    /// The body ends half-way, against its announced length.
    Truncated,
    /// The body comes in chunks without an announced length, and ends half-way.
    ChunksCut,
    /// The body ends half-way, and half is what was announced.
    Shortened,
    /// The body stops half-way and the connection stays.
    Stalled,
    /// One bit in the middle of the body is another.
    BitFlipped,
}

/// Which of the requests that look the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// This share of them, by chance.
    Share(f64),
    /// So many, from the first on.
    First(u32),
    /// All of them.
    Always,
}

/// A fault, and the requests that meet it.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The requests' method.
    pub method: Method,
    /// A part of the requests' path and query.
    pub path: &'static str,
    /// How often.
    pub when: When,
    /// What happens.
    pub fault: Fault,
}

/// A request that is never answered: whoever asks is killed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// The request's method.
    pub method: &'static str,
    /// A part of its path and query.
    pub path: &'static str,
    /// A part of its body.
    pub says: &'static str,
    /// Whether the server does as it is asked.
    pub is_done: bool,
}

/// Decides what goes wrong with each request. Concurrent requests may come in any order: what a request meets depends on its
/// own line and how often it came before.
#[derive(Debug)]
pub struct Faults {
    seed: u64,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<BTreeMap<String, u32>>,
    met: Mutex<BTreeMap<Fault, u32>>,
    hold: Mutex<Option<Hold>>,
    held: AtomicBool,
}

impl Faults {
    /// The first rule that a request meets decides; shares of several rules add up.
    pub fn new(seed: u64, rules: Vec<Rule>) -> Self {
        let (rules, hold, held) = (Mutex::new(rules), Mutex::default(), AtomicBool::new(false));
        Self { seed, rules, seen: Mutex::default(), met: Mutex::default(), hold, held }
    }

    /// Holds the next request of this kind, instead of any that was to be held before.
    ///
    /// # Panics
    /// When another thread did.
    pub fn hold(&self, hold: Hold) {
        self.held.store(false, Ordering::SeqCst);
        *self.hold.lock().expect("nobody panicked") = Some(hold);
    }

    /// Whether it is held by now, and done where it was to be done.
    pub fn is_held(&self) -> bool {
        self.held.load(Ordering::SeqCst)
    }

    /// Whether a request is the one to be held, which no other is after it.
    pub(crate) fn takes_hold(&self, method: &Method, uri: &Uri, body: &[u8]) -> Option<Hold> {
        let mut hold = self.hold.lock().expect("nobody panicked");
        let is_it = |hold: &mut Hold| {
            let body = String::from_utf8_lossy(body);
            hold.method == method.as_str() && uri.to_string().contains(hold.path) && body.contains(hold.says)
        };
        hold.take_if(is_it)
    }

    pub(crate) fn note_held(&self) {
        self.held.store(true, Ordering::SeqCst);
    }

    /// Other rules from now on; what was met is counted on.
    ///
    /// # Panics
    /// When another thread did.
    pub fn replace(&self, rules: Vec<Rule>) {
        *self.rules.lock().expect("nobody panicked") = rules;
    }

    /// The fault that a request meets, which is counted.
    ///
    /// # Panics
    /// When another thread did.
    pub fn decide<B>(&self, request: &Request<B>) -> Option<Fault> {
        let (method, path) = (request.method(), request.uri().to_string());
        let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
        // A reading that broke goes on from where it was, to the same end.
        let end = range.and_then(|range| range.split('-').next_back()).unwrap_or_default();
        let line = format!("{method} {path} {end}");
        let occurrence = {
            let mut seen = self.seen.lock().expect("nobody panicked");
            let count = seen.entry(line.clone()).or_default();
            *count += 1;
            *count
        };
        let mut chance = chance(self.seed, &line, occurrence);
        let rules = self.rules.lock().expect("nobody panicked");
        let rules = rules.iter().filter(|rule| rule.method == method && path.contains(rule.path));
        let fault = rules.filter_map(|rule| match rule.when {
            When::Always => Some(rule.fault),
            When::First(count) => (occurrence <= count).then_some(rule.fault),
            When::Share(share) => {
                let hit = (0.0..share).contains(&chance);
                chance -= share;
                hit.then_some(rule.fault)
            }
        });
        let fault = { fault }.next()?;
        *self.met.lock().expect("nobody panicked").entry(fault).or_default() += 1;
        Some(fault)
    }

    /// How often each fault was met.
    ///
    /// # Panics
    /// When another thread did.
    pub fn met(&self) -> BTreeMap<Fault, u32> {
        self.met.lock().expect("nobody panicked").clone()
    }
}

/// A number from 0 to below 1.
fn chance(seed: u64, line: &str, occurrence: u32) -> f64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&occurrence.to_le_bytes()).update(line.as_bytes());
    let mut word = [0; 4];
    hasher.finalize_xof().fill(&mut word);
    f64::from(u32::from_le_bytes(word)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &'static str, when: When, fault: Fault) -> Rule {
        Rule { method: Method::GET, path, when, fault }
    }

    fn get(path: &str) -> Request<()> {
        Request::get(path).body(()).unwrap()
    }

    #[test]
    fn the_same_seed_gives_the_same_weather_in_any_order_of_requests() {
        let weather = || Faults::new(7, vec![rule("/", When::Share(0.3), Fault::ResetBefore)]);
        let paths: Vec<String> = (0..200).map(|number| format!("/{number}")).collect();
        let (forward, backward) = (weather(), weather());
        let mut first: Vec<_> = paths.iter().map(|path| forward.decide(&get(path))).collect();
        let second: Vec<_> = paths.iter().rev().map(|path| backward.decide(&get(path))).collect();
        first.reverse();
        assert_eq!(first, second);
        let met = forward.met()[&Fault::ResetBefore];
        assert!((40..80).contains(&met), "{met} of 200");
    }

    #[test]
    fn shares_of_several_rules_add_up() {
        let rules = vec![rule("/", When::Share(0.5), Fault::Status(500)), rule("/", When::Share(0.5), Fault::Trickle)];
        let faults = Faults::new(1, rules);
        assert!((0..100).all(|number| faults.decide(&get(&format!("/{number}"))).is_some()));
        assert_eq!(faults.met().len(), 2);
    }

    #[test]
    fn what_goes_on_after_a_fault_is_the_same_request() {
        let faults = Faults::new(1, vec![rule("/", When::First(1), Fault::Stalled)]);
        let [first, rest, other] = ["bytes=0-99", "bytes=50-99", "bytes=0-49"].map(|range| {
            let request = Request::get("/a").header(RANGE, range).body(()).unwrap();
            faults.decide(&request).is_some()
        });
        assert_eq!((first, rest, other), (true, false, true));
    }

    #[test]
    fn the_first_requests_of_a_kind_are_counted_apart() {
        let faults = Faults::new(1, vec![rule("/a", When::First(1), Fault::Truncated)]);
        let [first, second, other] = ["/a/1", "/a/1", "/a/2"].map(|path| faults.decide(&get(path)).is_some());
        assert_eq!((first, second, other), (true, false, true));
        assert_eq!(faults.decide(&get("/b")), None);
    }
}
