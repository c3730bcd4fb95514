//! stub, replaced by the real one
use super::moment::Moment;
use crate::record::Usage;
use crate::sync::Arc;
#[derive(Debug)]
pub struct Ahe;
#[derive(Debug)]
pub struct Lane;
impl Ahe {
    pub fn new() -> Self {
        Self
    }
    pub fn lane(&self) -> Arc<Lane> {
        Arc::new(Lane)
    }
    pub fn set_capacity(&self, _: u64) {}
    pub fn count_access(&self, _: &Lane) -> u32 {
        0
    }
    pub fn hit(&self, _: &Lane, u: Usage, _: u32) -> Usage {
        u
    }
    pub fn ghost_usage(&self, _: &Lane, _: u64, u: Usage) -> Usage {
        u
    }
    pub fn inserted(&self, _: &Lane, _: usize, _: u64, _: u64) {}
    pub fn evicted(&self, _: &Lane, _: u64, _: Usage, _: f32) {}
    pub fn value(&self, _: Usage, _: Option<u64>) -> f32 {
        0.0
    }
    pub fn age(&self, _: Usage) -> u32 {
        0
    }
    pub fn recent(&self, _: &mut Vec<(usize, u64)>) {}
    pub fn learn_if_due(&self, _: u64) {}
}
pub(super) fn value_of(usage: Usage, deadline: Option<u64>, m: &Moment<'_>) -> f32 {
    m.ahe.value(usage, deadline.map(|d| d.saturating_sub(m.now)))
}
pub(super) fn score(usage: Usage, deadline: Option<u64>, m: &Moment<'_>) -> u64 {
    u64::from(!value_of(usage, deadline, m).to_bits()) << 32 | u64::from(m.age_ticks(usage))
}
