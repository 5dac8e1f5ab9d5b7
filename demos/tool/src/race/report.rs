//! What came of a race: the JSON document, of which the text and the picture are made too.

use std::time::Duration;

use brkmap_base::error::{Error, Result};
use brkmap_race::amounts::Percent;
use brkmap_race::course::{Course, Ended};
use brkmap_race::interval::Interval;
use brkmap_race::look::Look;
use brkmap_race::picture;
use brkmap_race::sample::{Quantity, Sample};
use brkmap_race::verdict::{self, SHORTEST_MS, Verdict};
use serde::Serialize;

use super::Arguments;
use super::lanes::{Lane, Output};
use crate::console::JSON_SCHEMA;

#[derive(Serialize)]
pub struct Report {
    schema: u32,
    tool: &'static str,
    pub command: Vec<String>,
    pub reference: String,
    pub rounds: usize,
    pub seconds: f64,
    pub ended: Ended,
    /// As a part of a ratio.
    width: f64,
    pub seed: u64,
    pub allocators: Vec<Entry>,
    /// Every pair, every quantity.
    pub pairs: Vec<Pair>,
    /// One sentence on each allocator beside the reference, and on the two that are in front.
    pub verdicts: Vec<String>,
    pub notes: Vec<String>,
}

#[derive(Serialize)]
pub struct Entry {
    pub name: String,
    library: Option<String>,
    pub failure: Option<String>,
    /// To the reference.
    pub verdict: Option<Verdict>,
    pub samples: Vec<Sample>,
    pub look: Option<Look>,
}

#[derive(Serialize)]
pub struct Pair {
    allocator: String,
    to: String,
    quantity: Quantity,
    interval: Interval,
}

impl Report {
    pub fn of(
        args: &Arguments,
        lanes: &[Lane],
        course: &Course,
        reference: usize,
        took: Duration,
        notes: Vec<String>,
    ) -> Report {
        let mut report = Report {
            schema: JSON_SCHEMA,
            tool: "race",
            command: args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            reference: lanes[reference].name.clone(),
            rounds: course.rounds,
            seconds: took.as_secs_f64(),
            ended: course.ended,
            width: args.width.0,
            seed: args.seed,
            allocators: Vec::new(),
            pairs: pairs(lanes, course, args.seed),
            verdicts: Vec::new(),
            notes,
        };
        for (lane, raced) in lanes.iter().zip(&course.lanes) {
            report.allocators.push(Entry {
                name: lane.name.clone(),
                library: lane.library().map(|path| path.display().to_string()),
                failure: raced.failure.clone(),
                verdict: None,
                samples: raced.samples.clone(),
                look: lane.look.clone(),
            });
        }
        report.judge();
        report.notes.extend(differences(lanes, reference));
        report
    }

    fn judge(&mut self) {
        let cpu = self.cpu(&self.reference).unwrap_or(0.0);
        let is_short = self.rounds > 0 && cpu < SHORTEST_MS;
        let raced: Vec<&str> = self.by_cpu().iter().map(|entry| entry.name.as_str()).collect();
        let mut sentences = Vec::new();
        let mut verdicts = Vec::new();
        for name in raced.iter().filter(|name| **name != self.reference) {
            let (verdict, words) = self.verdict(name, &self.reference);
            verdicts.push(((*name).to_owned(), verdict));
            sentences.extend((!is_short).then_some(words));
        }
        if is_short {
            sentences.push(format!(
                "The command takes {cpu:.2} ms of CPU with {}, most of it for the start of the process: too little to tell \
                 allocators apart. Give it more to do.",
                self.reference
            ));
        }
        // The two in front, where neither is the reference.
        if let [first, second, ..] = raced[..]
            && !is_short
            && ![first, second].contains(&self.reference.as_str())
        {
            sentences.push(self.verdict(first, second).1);
        }
        self.verdicts = sentences;
        for (name, verdict) in verdicts {
            let entry = self.allocators.iter_mut().find(|entry| entry.name == name);
            entry.expect("it raced").verdict = Some(verdict);
        }
    }

    fn verdict(&self, name: &str, to: &str) -> (Verdict, String) {
        let interval = self.interval(Quantity::Cpu, name, to);
        let shorter = [name, to].iter().filter_map(|name| self.cpu(name)).fold(f64::MAX, f64::min);
        let verdict = verdict::of(interval, shorter);
        (verdict, verdict::words(verdict, name, to, interval))
    }

    fn cpu(&self, name: &str) -> Option<f64> {
        let entry = self.allocators.iter().find(|entry| entry.name == name)?;
        Quantity::Cpu.median(&entry.samples)
    }

    /// Those that raced, the quickest first.
    pub fn by_cpu(&self) -> Vec<&Entry> {
        let mut raced: Vec<&Entry> =
            self.allocators.iter().filter(|entry| !entry.samples.is_empty()).collect();
        let cpu = |entry: &Entry| Quantity::Cpu.median(&entry.samples).unwrap_or(f64::MAX);
        raced.sort_by(|one, other| cpu(one).total_cmp(&cpu(other)));
        raced
    }

    pub fn interval(&self, quantity: Quantity, name: &str, to: &str) -> Option<&Interval> {
        let is = |pair: &&Pair| pair.quantity == quantity && pair.allocator == name && pair.to == to;
        self.pairs.iter().find(is).map(|pair| &pair.interval)
    }

    /// How it ended, as a sentence.
    pub fn closing(&self) -> String {
        let why = match self.ended {
            _ if self.by_cpu().len() < 2 => "there is nobody to compare with".to_owned(),
            Ended::Narrow => format!("every interval of CPU is narrower than {} now", Percent(self.width)),
            Ended::OutOfTime => "the time is up".to_owned(),
            Ended::OutOfRounds => "that is as many rounds as were asked for".to_owned(),
            Ended::Interrupted => "interrupted".to_owned(),
        };
        let rounds = if self.rounds == 1 { "1 round".to_owned() } else { format!("{} rounds", self.rounds) };
        format!("{rounds} in {:.0} s (seed {}): {why}.", self.seconds, self.seed)
    }

    pub fn picture(&self) -> Result<String> {
        let raced = self.by_cpu();
        let entries = raced.iter().filter_map(|entry| {
            let interval = *self.interval(Quantity::Cpu, &entry.name, &self.reference)?;
            Some(picture::Entry { label: entry.name.clone(), allocator: entry.name.clone(), interval })
        });
        let entries: Vec<_> = entries.collect();
        if entries.is_empty() {
            return Err(Error::failed("there are too few rounds for a picture: a longer --time gives them"));
        }
        let title = format!("CPU of {}", shortened(&self.command.join(" ")));
        let axis = format!("CPU time as a ratio, {} = 1; less is better; 95 % intervals", self.reference);
        picture::draw(&title, &axis, &entries).map_err(Error::during("the picture cannot be drawn"))
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(59).chain(['…']).collect() }
}

fn pairs(lanes: &[Lane], course: &Course, seed: u64) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (one, lane) in lanes.iter().enumerate() {
        for (other, to) in lanes.iter().enumerate().filter(|(other, _)| *other != one) {
            pairs.extend(Quantity::ALL.into_iter().filter_map(|quantity| {
                let interval = course.interval(quantity, one, other, seed)?;
                Some(Pair { allocator: lane.name.clone(), to: to.name.clone(), quantity, interval })
            }));
        }
    }
    pairs
}

/// Who made the command print something else than the reference did, where that is always the same.
fn differences(lanes: &[Lane], reference: usize) -> Vec<String> {
    let Output::Always(right) = lanes[reference].output else { return Vec::new() };
    let other = lanes.iter().filter(|lane| matches!(lane.output, Output::Always(print) if print != right));
    let told = other.map(|lane| {
        format!("Under {} the command's output is another than under {}.", lane.name, lanes[reference].name)
    });
    told.collect()
}
