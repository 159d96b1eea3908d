//! Deterministic random numbers: splitmix64.

/// A stream of numbers that its seed determines.
#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    /// The stream that belongs to a seed.
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// The next 64 bits.
    #[allow(clippy::should_implement_trait, reason = "a stream that does not end")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of the elements.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// An integer of `bits` bits, often one at the edge of something.
    pub fn int(&mut self, bits: u32) -> i64 {
        let v = match self.below(8) {
            0 => self.below(4) as i64,
            1 => -(self.below(4) as i64),
            2 => 1i64 << self.below(bits as usize),
            3 => (1i64 << self.below(bits as usize)).wrapping_sub(1),
            4 => self.pick(&[
                i64::MIN,
                i64::MAX,
                0x7fff_ffff,
                0x8000_0000,
                0xff,
                0xffff,
                0xffff_ffff,
            ]),
            5 | 6 => self.below(256) as i64 - 128,
            _ => self.next() as i64,
        };
        v << (64 - bits) >> (64 - bits)
    }

    /// The bits of a double, often one at the edge of something.
    pub fn f64_bits(&mut self) -> u64 {
        match self.below(6) {
            0 => self
                .pick(&[
                    0.0,
                    -0.0,
                    1.0,
                    f64::INFINITY,
                    f64::NEG_INFINITY,
                    f64::NAN,
                    f64::MIN_POSITIVE,
                    5e-324,
                    f64::MAX,
                    2_147_483_647.5,
                    -2_147_483_649.0,
                    4_294_967_296.0,
                    9_223_372_036_854_775_808.0,
                    18_446_744_073_709_551_616.0,
                ])
                .to_bits(),
            1 => self.next(),
            2 => (self.next() as i32 as f64 / 16.0).to_bits(),
            _ => (self.below(64) as f64 / 4.0 - 8.0).to_bits(),
        }
    }

    /// The bits of a float.
    pub fn f32_bits(&mut self) -> u32 {
        match self.below(3) {
            0 => self.next() as u32,
            _ => (f64::from_bits(self.f64_bits()) as f32).to_bits(),
        }
    }
}
