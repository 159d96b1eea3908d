use super::*;
use crate::PReg;
use crate::isa::x64::inst::*;
use crate::label::Label;
#[test]
fn bench_tmp() {
    let mut p = Program::new();
    p.selected.frame.saved.insert(PReg::int(3));
    p.selected.frame.spill_cells = (0..50).collect();
    p.selected.frame.num_cells = 50;
    let mut seed = 1u64;
    let mut rnd = |n: u64| {
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (seed >> 33) % n
    };
    let chunks = 2000;
    let labels: Vec<Label> = (0..chunks).map(|_| p.label()).collect();
    let mut total = 0;
    for c in 0..chunks {
        let mut v = vec![];
        for _ in 0..3 + rnd(8) {
            let r = PReg::int([0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13][rnd(12) as usize]);
            let q = PReg::int([0, 1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13][rnd(12) as usize]);
            let mem = if rnd(2) == 0 {
                Mem::base_index(r, q, rnd(4) as u8, rnd(2000) as i32)
            } else {
                Mem::base(r, rnd(300) as i32)
            };
            v.push(
                match if std::env::var_os("SAME").is_some() {
                    0
                } else {
                    rnd(14)
                } {
                    0..3 => Inst::MovRR {
                        size: Size::S32,
                        dst: r,
                        src: q,
                    },
                    3 => Inst::MovRI {
                        dst: r,
                        imm: rnd(1 << 33),
                    },
                    4..6 => Inst::LoadZx {
                        from: Size::S32,
                        dst: r,
                        mem,
                    },
                    6 => Inst::StoreMR {
                        size: Size::S32,
                        mem,
                        src: r,
                    },
                    7 => Inst::LoadZx {
                        from: Size::S64,
                        dst: r,
                        mem: Mem::spill(rnd(50) as u32),
                    },
                    8 => Inst::StoreMR {
                        size: Size::S64,
                        src: r,
                        mem: Mem::spill(rnd(50) as u32),
                    },
                    9 => Inst::AluRI {
                        op: Alu::Add,
                        size: Size::S32,
                        dst: r,
                        imm: rnd(300) as i32,
                    },
                    10 => Inst::Lea {
                        size: Size::S32,
                        dst: r,
                        mem,
                    },
                    11 => Inst::ShiftRI {
                        op: Shift::Shl,
                        size: Size::S32,
                        dst: r,
                        imm: 3,
                    },
                    12 => Inst::FAluRR {
                        op: FAlu::Add,
                        size: FSize::F64,
                        dst: PReg::float(3),
                        src: PReg::float(1),
                    },
                    _ => Inst::AluRR {
                        op: Alu::Add,
                        size: Size::S32,
                        dst: r,
                        src: q,
                    },
                },
            );
        }
        v.push(Inst::AluRR {
            op: Alu::Cmp,
            size: Size::S32,
            dst: PReg::int(1),
            src: PReg::int(2),
        });
        let t = (c as i64 + rnd(12) as i64 - 3).clamp(0, chunks as i64 - 1) as usize;
        v.push(Inst::Jcc {
            cc: Cc::E,
            target: labels[t],
        });
        total += v.len();
        p.chunk(labels[c], &v);
    }
    // Selection order: last chunk's first.
    let mut insts = vec![];
    for c in p.selected.chunks.iter_mut().rev() {
        let s = insts.len() as u32;
        insts.extend_from_slice(&p.selected.insts[c.insts.start as usize..c.insts.end as usize]);
        c.insts = s..insts.len() as u32;
    }
    p.selected.insts = insts;
    let mut out = CompiledCode::default();
    let mut scratch = EncodeScratch::default();
    let f = function();
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..300 {
        out.clear();
        let t = std::time::Instant::now();
        encode(&p.selected, &f, &mut out, &mut scratch).unwrap();
        best.0 = best.0.min(t.elapsed().as_nanos() as f64 / total as f64);
        let frame = <Inst as crate::encode::Encode>::layout(&p.selected.frame).unwrap();
        scratch.reset(p.selected.labels.len());
        let t = std::time::Instant::now();
        crate::encode::measure(&p.selected, &frame, &mut scratch).unwrap();
        best.1 = best.1.min(t.elapsed().as_nanos() as f64 / total as f64);
    }
    println!(
        "{total} insts, {} bytes, {:?} ns/inst (all, measure)",
        out.code.len(),
        best
    );
}
