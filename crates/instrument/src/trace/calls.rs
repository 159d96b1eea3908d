//! Matching exits to entries.
//!
//! A call is known by its frame pointer, which is the same at the entry and the exit and unlike
//! that of any other call that is active on the stack. Stacks grow downwards, so a frame at or
//! below that of a new call has ended, and one below that of a returning call has, too.

use super::event::EventKind;

/// Calls of one thread that have begun and not ended.
#[derive(Debug, Default)]
pub(super) struct OpenCalls {
    window: u32,
    calls: Vec<OpenCall>,
}

/// A call that has begun.
#[derive(Clone, Copy, Debug)]
struct OpenCall {
    func: u32,
    frame: u64,
    time: u64,
}

/// A step at an entry or an exit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) func: u32,
    pub(super) frame: u64,
    pub(super) time: u64,
    pub(super) window: u32,
}

/// What to tell of a call: function, depth, and what happened.
pub(super) type Told = (u32, usize, EventKind);

impl OpenCalls {
    /// A call begins. `tell` is given what this means, in order.
    pub(super) fn enter(&mut self, step: Step, tell: &mut impl FnMut(Told)) {
        self.lose_other_windows(step.window, tell);
        self.lose_while(tell, |call| call.frame <= step.frame);
        tell((step.func, self.calls.len(), EventKind::Entry));
        self.calls.push(OpenCall {
            func: step.func,
            frame: step.frame,
            time: step.time,
        });
    }

    /// A call returns.
    pub(super) fn exit(&mut self, step: Step, tell: &mut impl FnMut(Told)) {
        self.lose_other_windows(step.window, tell);
        self.lose_while(tell, |call| {
            call.frame < step.frame || call.frame == step.frame && call.func != step.func
        });
        let entered = self
            .calls
            .pop_if(|call| call.frame == step.frame)
            .map(|call| call.time);
        tell((step.func, self.calls.len(), EventKind::Exit { entered }));
    }

    /// The trace ends: tell of all that are open, innermost first.
    pub(super) fn end(&mut self, tell: &mut impl FnMut(Told)) {
        while let Some(call) = self.calls.pop() {
            let entered = call.time;
            tell((call.func, self.calls.len(), EventKind::Open { entered }));
        }
    }

    /// What happened while the hooks were off is unknown.
    fn lose_other_windows(&mut self, window: u32, tell: &mut impl FnMut(Told)) {
        if self.window != window {
            self.window = window;
            self.lose_while(tell, |_| true);
        }
    }

    fn lose_while(&mut self, tell: &mut impl FnMut(Told), is_lost: impl Fn(&OpenCall) -> bool) {
        while let Some(call) = self.calls.pop_if(|call| is_lost(call)) {
            let entered = call.time;
            tell((call.func, self.calls.len(), EventKind::Lost { entered }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EventKind::{Entry, Exit, Lost, Open};

    #[derive(Default)]
    struct Run {
        calls: OpenCalls,
        told: Vec<Told>,
        time: u64,
        window: u32,
    }

    impl Run {
        fn step(&mut self, func: u32, frame: u64) -> Step {
            self.time += 1;
            Step {
                func,
                frame,
                time: self.time,
                window: self.window,
            }
        }

        fn enter(&mut self, func: u32, frame: u64) -> &mut Self {
            let step = self.step(func, frame);
            self.calls.enter(step, &mut |told| self.told.push(told));
            self
        }

        fn exit(&mut self, func: u32, frame: u64) -> &mut Self {
            let step = self.step(func, frame);
            self.calls.exit(step, &mut |told| self.told.push(told));
            self
        }
    }

    #[test]
    fn nested_calls_match() {
        let mut run = Run::default();
        run.enter(1, 90).enter(2, 80).exit(2, 80).exit(1, 90);
        assert_eq!(
            run.told,
            [
                (1, 0, Entry),
                (2, 1, Entry),
                (2, 1, Exit { entered: Some(2) }),
                (1, 0, Exit { entered: Some(1) }),
            ]
        );
    }

    #[test]
    fn exits_without_entries_are_told_apart() {
        let mut run = Run::default();
        run.exit(3, 80).enter(1, 85).exit(1, 85).exit(2, 90);
        assert_eq!(run.told[0], (3, 0, Exit { entered: None }));
        assert_eq!(run.told[2], (1, 0, Exit { entered: Some(2) }));
        assert_eq!(run.told[3], (2, 0, Exit { entered: None }));
    }

    #[test]
    fn calls_ended_by_a_trap_are_lost() {
        let mut run = Run::default();
        run.enter(1, 90).enter(2, 80).enter(3, 70);
        // The host caught the trap of function 3 in a call made by function 1.
        run.enter(4, 80).exit(1, 90);
        assert_eq!(
            run.told[3..],
            [
                (3, 2, Lost { entered: 3 }),
                (2, 1, Lost { entered: 2 }),
                (4, 1, Entry),
                (4, 1, Lost { entered: 4 }),
                (1, 0, Exit { entered: Some(1) }),
            ]
        );
    }

    #[test]
    fn a_frame_of_another_function_is_another_call() {
        let mut run = Run::default();
        run.enter(1, 90).exit(2, 90);
        assert_eq!(
            run.told[1..],
            [(1, 0, Lost { entered: 1 }), (2, 0, Exit { entered: None })]
        );
    }

    #[test]
    fn calls_are_not_matched_across_windows() {
        let mut run = Run::default();
        run.enter(1, 90);
        run.window = 1;
        run.exit(1, 90);
        assert_eq!(
            run.told[1..],
            [(1, 0, Lost { entered: 1 }), (1, 0, Exit { entered: None })]
        );
    }

    #[test]
    fn open_calls_end_with_the_trace() {
        let mut run = Run::default();
        run.enter(1, 90).enter(2, 80);
        run.calls.end(&mut |told| run.told.push(told));
        assert_eq!(
            run.told[2..],
            [(2, 1, Open { entered: 2 }), (1, 0, Open { entered: 1 })]
        );
    }
}
