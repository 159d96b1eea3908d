//! Random functions: what is encoded is what was selected, whatever the forms of the branches.

use super::{Program, check_bypasses, disassemble, text};
use crate::CompiledCode;
use crate::isa::x64::inst::{Alu, Cc, Inst, Mem, Size};
use crate::isa::x64::regs::{R9, R12, RAX, RBX, RCX};
use crate::label::Label;
use crate::selected::SelectedSite;
use iced_x86::{Instruction, Mnemonic};
use nopal_ir::{EntityRef, FuncRef, SourceLoc, TrapCode};

/// A linear congruential generator (Knuth, MMIX).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(n)) as u32
    }
}

fn plain(random: &mut Random) -> Inst {
    let mem = Mem::base_index(R12, RCX, 3, random.below(300) as i32);
    match random.below(8) {
        0 => Inst::Int3,
        1 => Inst::MovRI {
            dst: RBX,
            imm: u64::from(random.below(1 << 20)) << random.below(40),
        },
        2 => Inst::LoadZx {
            from: Size::S64,
            dst: R9,
            mem,
        },
        3 => Inst::StoreMI {
            size: Size::S16,
            mem,
            imm: 5,
        },
        4 => Inst::AluRI {
            op: Alu::Add,
            size: Size::S64,
            dst: RAX,
            imm: random.below(500) as i32,
        },
        _ => Inst::AluRR {
            op: Alu::Xor,
            size: Size::S32,
            dst: RBX,
            src: R9,
        },
    }
}

/// A program with one label per chunk and some in chunks; branches go mostly to places nearby.
fn program(random: &mut Random) -> (Program, Vec<Vec<Inst>>) {
    let mut p = Program::new();
    p.selected.frame.saved.insert(RBX);
    let chunks = 1 + random.below(60);
    let labels: Vec<Label> = (0..2 * chunks).map(|_| p.label()).collect();
    let sites = random.below(2) == 0;
    let mut bodies = Vec::new();
    for chunk in 0..chunks {
        let near = |random: &mut Random| {
            let target = chunk as i64 * 2 + i64::from(random.below(20)) - 8;
            labels[target.clamp(0, labels.len() as i64 - 1) as usize]
        };
        let mut body = Vec::new();
        let bind = random.below(8);
        for n in 0..8 {
            if n == bind {
                body.push(Inst::Bind {
                    label: labels[chunk as usize * 2 + 1],
                });
            }
            let code = TrapCode::user(1 + random.below(3) as u8).expect("a user code");
            let srcloc = SourceLoc::new(random.below(3));
            match random.below(12) {
                0 => body.push(Inst::Jcc {
                    cc: Cc::Le,
                    target: near(random),
                }),
                1 => body.push(Inst::TrapIf {
                    cc: Cc::P,
                    code,
                    srcloc,
                }),
                2 if sites => {
                    let site = p.selected.sites.len() as u32;
                    let callee = FuncRef::new(0);
                    p.selected.sites.push(SelectedSite {
                        callee,
                        site,
                        srcloc,
                        observed: 0..0,
                    });
                    body.push(Inst::PatchSite { site });
                }
                3 => body.push(Inst::Ret),
                4..8 => {}
                _ => body.push(plain(random)),
            }
        }
        if random.below(2) == 0 {
            body.push(Inst::Jmp {
                target: near(random),
            });
        }
        p.chunk(labels[chunk as usize * 2], &body);
        if sites && random.below(16) == 0 {
            p.loop_header(chunk as usize);
        }
        bodies.push(body);
    }
    (p, bodies)
}

/// For each jump, from the last to the first, whether it leads to what follows.
fn jumps_to_next(p: &Program, bodies: &[Vec<Inst>]) -> Vec<bool> {
    let mut jumps = Vec::new();
    let mut here = Vec::new();
    for (chunk, body) in p.selected.chunks.iter().zip(bodies).rev() {
        for inst in body.iter().rev() {
            match *inst {
                Inst::Bind { label } => here.push(label),
                Inst::Jmp { target } => {
                    jumps.push(here.contains(&target));
                    if !here.contains(&target) {
                        here.clear();
                    }
                }
                _ => here.clear(),
            }
        }
        here.push(chunk.label);
    }
    jumps
}

/// Walks the encoded instructions along with the selected ones.
struct Walk<'a> {
    out: &'a CompiledCode,
    decoded: Vec<Instruction>,
    next: usize,
    sites: usize,
    /// Offset of each label.
    labels: Vec<Option<u64>>,
    /// From [`jumps_to_next`].
    jumps: Vec<bool>,
    /// Branches with their labels.
    branches: Vec<(Instruction, Label)>,
    /// The offsets of what follows jumps that are not there, with their labels.
    omitted: Vec<(u64, Label)>,
    traps: Vec<(u64, Inst)>,
}

impl Walk<'_> {
    fn offset(&self) -> u64 {
        self.decoded[self.next].ip()
    }

    fn take(&mut self) -> Instruction {
        self.next += 1;
        self.decoded[self.next - 1]
    }

    fn skip_padding(&mut self) {
        while self.decoded[self.next].mnemonic() == Mnemonic::Nop {
            self.next += 1;
        }
    }

    /// Labels count as bound behind padding; see [`Walk::behind_padding`].
    fn bind(&mut self, label: Label) {
        self.skip_padding();
        self.labels[label.index()] = Some(self.offset());
    }

    /// The offset where execution gets beyond padding.
    fn behind_padding(&self, offset: u64) -> u64 {
        let start = self.decoded.binary_search_by_key(&offset, |i| i.ip());
        let rest = &self.decoded[start.expect("a branch leads to an instruction")..];
        let first = rest.iter().find(|i| i.mnemonic() != Mnemonic::Nop);
        first.expect("the sentinel").ip()
    }

    fn inst(&mut self, inst: &Inst) {
        match *inst {
            Inst::Bind { label } => self.bind(label),
            Inst::Jcc { target, .. } => {
                let branch = self.take();
                assert_eq!(branch.mnemonic(), Mnemonic::Jle);
                self.branches.push((branch, target));
            }
            Inst::Jmp { target } => {
                if self.jumps.pop().expect("a jump") {
                    self.skip_padding();
                    self.omitted.push((self.offset(), target));
                } else {
                    let jump = self.take();
                    assert_eq!(jump.mnemonic(), Mnemonic::Jmp);
                    self.branches.push((jump, target));
                }
            }
            Inst::TrapIf { .. } => {
                let branch = self.take();
                assert_eq!(branch.mnemonic(), Mnemonic::Jp);
                self.traps.push((branch.near_branch_target(), *inst));
            }
            Inst::PatchSite { .. } => {
                self.skip_padding();
                let inst = self.take();
                let site = self.out.patch_sites[self.sites];
                self.sites += 1;
                assert_eq!(text(&inst), "cmp $0,%eax");
                assert_eq!(u64::from(site.ret_addr), inst.next_ip());
                assert_eq!(inst.ip() / 32, (inst.next_ip() - 1) / 32);
            }
            Inst::Ret => {
                let lines = [self.take(), self.take(), self.take()].map(|i| text(&i));
                assert_eq!(lines, ["pop %rbx", "pop %rbp", "ret"]);
            }
            _ => {
                let mnemonic = self.take().mnemonic();
                let expected = match inst {
                    Inst::Int3 => Mnemonic::Int3,
                    Inst::AluRI { .. } => Mnemonic::Add,
                    Inst::AluRR { .. } => Mnemonic::Xor,
                    _ => Mnemonic::Mov,
                };
                assert_eq!(mnemonic, expected);
            }
        }
    }
}

/// How many branches there are of a kind.
#[derive(Clone, Copy, Default, Debug)]
struct Counts {
    all: usize,
    /// Long without need.
    wasted: usize,
    bypasses: usize,
}

/// Check a program; gives the number of branches of each kind.
fn check(p: &mut Program, bodies: &[Vec<Inst>]) -> Counts {
    let out = p.encode();
    check_bypasses(&out);
    let mut decoded = disassemble(&out.code);
    let end = out.code.len() as u64;
    let mut sentinel = Instruction::new();
    sentinel.set_ip(end);
    decoded.push(sentinel);
    let labels = vec![None; p.selected.labels.len()];
    let mut walk = Walk {
        out: &out,
        decoded,
        next: 3,
        sites: 0,
        labels,
        jumps: jumps_to_next(p, bodies),
        branches: Vec::new(),
        omitted: Vec::new(),
        traps: Vec::new(),
    };
    for (chunk, body) in p.selected.chunks.iter().zip(bodies) {
        walk.bind(chunk.label);
        for inst in body {
            walk.inst(inst);
        }
    }
    for (offset, label) in &walk.omitted {
        assert_eq!(Some(*offset), walk.labels[label.index()]);
    }
    let mut counts = Counts {
        all: walk.branches.len(),
        ..Counts::default()
    };
    for (branch, label) in &walk.branches {
        let target = branch.near_branch_target();
        let settled = Some(walk.behind_padding(target));
        assert_eq!(settled, walk.labels[label.index()], "{}", text(branch));
        let distance = target as i64 - branch.next_ip() as i64;
        if branch.is_jcc_short() || branch.is_jmp_short() {
            assert!(i8::try_from(distance).is_ok());
        } else {
            // In the short form, one that leads back would be 3 or 4 bytes closer.
            counts.wasted += usize::from((-131..128).contains(&distance));
        }
        let mut chunks = p.selected.chunks.iter().zip(bodies);
        let at_top = chunks.find(|(chunk, _)| chunk.label == *label);
        let is_site = at_top.is_some_and(|(_, b)| matches!(b[..], [Inst::PatchSite { .. }, ..]));
        let is_enough = match branch.is_jcc_short() || branch.is_jmp_short() {
            true => i8::try_from(distance + 5).is_ok(),
            false => distance >> 8 == (distance + 5) >> 8,
        };
        let is_bypass = is_site && is_enough;
        let branch = branch.ip() as u32;
        let listed = out.bypasses.iter().any(|b| b.branch == branch);
        assert_eq!(listed, is_bypass);
        counts.bypasses += usize::from(listed);
    }
    assert_eq!(out.bypasses.len(), counts.bypasses);
    let first = walk.offset();
    for (target, inst) in &walk.traps {
        let Inst::TrapIf { code, srcloc, .. } = *inst else {
            panic!("a trap")
        };
        let trap = out
            .traps
            .iter()
            .find(|t| u64::from(t.offset) == *target)
            .expect("a trap");
        assert_eq!((trap.code, trap.srcloc), (code, srcloc.bits()));
        assert!(*target >= first && *target < end);
    }
    assert!(
        walk.decoded[walk.next..]
            .iter()
            .all(|i| matches!(i.mnemonic(), Mnemonic::Ud2 | Mnemonic::INVALID))
    );
    assert_eq!(walk.sites, p.selected.sites.len());
    counts
}

#[test]
fn random_functions_read_back() {
    let mut random = Random(1);
    let [mut with_sites, mut without] = [Counts::default(); 2];
    for _ in 0..2000 {
        let (mut p, bodies) = program(&mut random);
        let counts = check(&mut p, &bodies);
        let sum = if p.selected.sites.is_empty() {
            &mut without
        } else {
            &mut with_sites
        };
        sum.all += counts.all;
        sum.wasted += counts.wasted;
        sum.bypasses += counts.bypasses;
    }
    // The padding of sites is not known beforehand, nor are the forms of outer latches.
    assert!(
        with_sites.all > 10_000 && with_sites.wasted * 20 <= with_sites.all,
        "{with_sites:?}"
    );
    assert!(
        without.all > 10_000 && without.wasted * 100 <= without.all,
        "{without:?}"
    );
    assert!(
        with_sites.bypasses > 500 && without.bypasses == 0,
        "{with_sites:?}"
    );
}
