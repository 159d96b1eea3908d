//! Exhaustive search: every state that can be reached, nearest first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::rc::Rc;

use crate::inst::Event;
use crate::machine::{Machine, State, Step};

/// Steps that lead somewhere, described one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// What is there.
    pub what: String,
    /// The way.
    pub steps: Vec<String>,
}

impl std::fmt::Display for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        write!(f, "  => {}", self.what)
    }
}

/// What a search was told to look for, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was met: a shortest way to it.
    Found(Trace),
    /// It is nowhere among the states that can be reached, all of which were visited.
    Nowhere {
        /// How many there are.
        states: usize,
    },
}

impl Outcome {
    /// The way to what was looked for.
    pub fn found(&self) -> Option<&Trace> {
        match self {
            Outcome::Found(trace) => Some(trace),
            Outcome::Nowhere { .. } => None,
        }
    }
}

/// What to look for.
pub trait Goal {
    /// Whether a state is one: says what it is.
    fn state(&self, machine: &Machine, state: &State) -> Option<String> {
        let _ = (machine, state);
        None
    }

    /// Whether it is one that a core executes a site in this form now: says what it is.
    fn event(&self, state: &State, core: usize, event: Event) -> Option<String> {
        let _ = (state, core, event);
        None
    }
}

/// The states met so far, in the order they were met.
struct Visited {
    numbers: HashMap<Rc<State>, usize, BuildHasherDefault<DefaultHasher>>,
    states: Vec<Rc<State>>,
    /// For each state but the first: the one before it, and the step between.
    from: Vec<(usize, Step)>,
}

impl Visited {
    /// Enters a state unless it is known.
    fn add(&mut self, state: State, from: Option<(usize, Step)>) {
        let state = Rc::new(state);
        if let Entry::Vacant(entry) = self.numbers.entry(state) {
            self.states.push(Rc::clone(entry.key()));
            entry.insert(self.states.len() - 1);
            self.from.extend(from);
        }
    }

    /// The way to a state, and then a last step.
    fn trace(&self, machine: &Machine, number: usize, last: Option<Step>, what: String) -> Trace {
        let mut way: Vec<_> = last.map(|step| (number, step)).into_iter().collect();
        let mut at = number;
        while let Some(previous) = at.checked_sub(1) {
            way.push(self.from[previous]);
            at = self.from[previous].0;
        }
        way.reverse();
        let describe = |(before, step): (usize, Step)| {
            let state: &State = &self.states[before];
            machine.describe(state, &step)
        };
        Trace {
            what,
            steps: way.into_iter().flat_map(describe).collect(),
        }
    }
}

/// Visits all states of a machine, until a goal is met.
pub fn search(machine: &Machine, goal: &impl Goal) -> Outcome {
    let mut visited = Visited {
        numbers: HashMap::default(),
        states: Vec::new(),
        from: Vec::new(),
    };
    visited.add(machine.start(), None);
    let mut next = 0;
    while let Some(state) = visited.states.get(next).cloned() {
        if let Some(what) = goal.state(machine, &state) {
            return Outcome::Found(visited.trace(machine, next, None, what));
        }
        for step in machine.steps(&state) {
            if let Some((core, event)) = state.executed(&step)
                && let Some(what) = goal.event(&state, core, event)
            {
                return Outcome::Found(visited.trace(machine, next, Some(step), what));
            }
            visited.add(machine.apply(&state, &step), Some((next, step)));
        }
        next += 1;
    }
    Outcome::Nowhere {
        states: visited.states.len(),
    }
}
