//! Processes on chosen processors: a child begins where the thread that starts it may run.

use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::process::Result;

/// The processors that this process may use.
pub fn allowed() -> Result<Vec<usize>> {
    let set =
        sched_getaffinity(None).map_err(|error| format!("the processors cannot be asked for: {error}"))?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Does `work` in a thread that may run on these processors only, and so may all it starts.
pub fn on<T: Send>(processors: &[usize], work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pinned = || {
        let mut set = CpuSet::new();
        processors.iter().for_each(|&cpu| set.set(cpu));
        sched_setaffinity(None, &set)
            .map_err(|error| format!("processors {processors:?} cannot be chosen: {error}"))?;
        work()
    };
    thread::scope(|scope| scope.spawn(pinned).join().expect("no measuring thread panics"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::process::Invocation;
    use std::path::Path;

    #[test]
    fn a_child_runs_where_its_thread_may_and_the_others_stay_free() {
        let before = allowed().unwrap();
        let last = *before.last().unwrap();
        let shell =
            Invocation::new(Path::new("/bin/sh"), &["-c", "grep Cpus_allowed_list /proc/self/status"]);
        let said = on(&[last], || shell.run()?.success()).unwrap();
        assert_eq!(said.split_whitespace().last(), Some(last.to_string().as_str()));
        assert_eq!(allowed().unwrap(), before);
    }

    #[test]
    fn a_processor_that_is_not_there_is_named() {
        assert!(on(&[1023], || Ok(())).unwrap_err().contains("[1023]"));
    }
}
