//! `--pairs A,B`: the two of them one after another in turn, row by row, until the ratio is known.

use brkmap_base::bar::bar;
use brkmap_race::course::{self, Course, Failure, Plan};
use brkmap_race::interval::LEAST;
use brkmap_race::sample::Quantity;

use super::calibration::{self, Costs};
use super::cli::Options;
use super::contender::Measured;
use super::{account, timing};
use crate::results::paired::{Paired, PairedRow, SEED};

pub fn measure(sets: &mut [Measured], options: &Options, remarks: &mut Vec<String>) -> Vec<Paired> {
    let costs = calibration::measure(&options.profile);
    if let Err(reason) = &costs {
        remarks.push(format!("Nothing was counted beside the clock: {reason}."));
    }
    let [one, other] = &options.pairs[..] else { return Vec::new() };
    let mut found = Vec::new();
    for set in sets {
        let place = |name: &str| set.subjects.iter().position(|subject| subject.name() == name);
        let (Some(first), Some(second)) = (place(one), place(other)) else { continue };
        let progress = bar(set.rows.len() as u64, "pairs");
        let mut rows = Vec::new();
        for row in 0..set.rows.len() {
            progress.set_message(set.rows[row].row.name.clone());
            let course = clock(set, row, [first, second], options);
            rows.push(paired(&set.rows[row].row.name, &course));
            if let Ok(costs) = &costs {
                count(set, row, [first, second], options, costs);
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        found.push(Paired {
            kind: set.kind,
            one: one.clone(),
            other: other.clone(),
            rows,
            calibration: costs.as_ref().ok().map(|costs| costs.calibration.clone()),
        });
    }
    found
}

fn clock(set: &mut Measured, row: usize, lanes: [usize; 2], options: &Options) -> Course {
    let plan = Plan {
        // An interval of the fewest rounds is narrow by luck too often.
        least: LEAST + 4,
        most: 1000,
        time: options.time.0,
        width: options.width.0,
        seed: SEED,
    };
    let (subjects, measurable) = (&set.subjects, &mut set.rows[row]);
    let once = |lane: usize| timing::once(measurable, &subjects[lanes[lane]], options).map_err(Failure::Out);
    let course = course::run(&plan, 2, 1, once, |_, _| {});
    for (lane, subject) in course.lanes.iter().zip(lanes) {
        let name = subjects[subject].name();
        measurable.cell(name).into_iter().for_each(|cell| cell.samples.extend(&lane.samples));
        lane.failure.iter().for_each(|failure| measurable.fail(name, failure.clone()));
    }
    course
}

fn paired(name: &str, course: &Course) -> PairedRow {
    let interval = |quantity| course.interval(quantity, 0, 1, SEED);
    PairedRow {
        name: name.to_owned(),
        rounds: course.rounds,
        ended: course.ended,
        cpu: interval(Quantity::Cpu),
        wall: interval(Quantity::Wall),
        peak: interval(Quantity::PeakRss),
        faults: interval(Quantity::Faults),
    }
}

fn count(set: &mut Measured, row: usize, lanes: [usize; 2], options: &Options, costs: &Costs) {
    let scale = account::scale(options.scale());
    for subject in lanes.map(|place| &set.subjects[place]) {
        let (measurable, name) = (&mut set.rows[row], subject.name());
        if measurable.has_failed(name) {
            continue;
        }
        match account::of(measurable, subject, costs, scale, options.threads()) {
            Ok(account) => {
                measurable.cell(name).into_iter().for_each(|cell| cell.account = Some(account.clone()))
            }
            Err(reason) => eprintln!("matrix: {} with {name} was not counted: {reason}", measurable.row.name),
        }
    }
}
