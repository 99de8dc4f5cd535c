//! The life of one object with trouble on its way, and what has to hold at each station.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use kube::{Resource, ResourceExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::gate::SERVICE;
use super::living::{Living, is_gone, objects};
use super::place::{Place, Running};
use super::wire::{Point, Touched, Trouble, is_write};

/// How long after a point the operator dies that is killed in the middle of what follows: a part of the time that
/// slow back-ends need for anything.
const LATER: Duration = Duration::from_millis(100);

/// See [`either`]. Only a road without its point waits so long.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Something that happens at a point.
pub type Mishap = (Point, Trouble);

/// Where a mishap happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Road {
    /// From nothing to Ready.
    Create,
    /// From Ready to Ready after a change of the spec.
    Change,
    /// From Ready to nothing.
    Delete,
    /// Deletion is asked for at a point of the creation.
    Cut,
    /// Deletion is asked for at a point of the change.
    CutChange,
}

/// One life: from nothing to Ready, through a change, and back; or to somewhere on the way and back. Where deletion
/// is asked for at a mishap of [`Road::Cut`] or [`Road::CutChange`], the answer is held, or the operator is dead.
#[derive(Debug, Clone, Default)]
pub struct Case {
    mishaps: Vec<(Road, Mishap)>,
}

impl Case {
    /// A life with one mishap.
    pub fn only(road: Road, mishap: &Mishap) -> Self {
        Self::with([(road, Some(mishap))])
    }

    /// A life with at most one mishap on each of some roads.
    pub fn with<const N: usize>(mishaps: [(Road, Option<&Mishap>); N]) -> Self {
        let mishaps = mishaps.into_iter();
        Self {
            mishaps: mishaps
                .filter_map(|(road, mishap)| Some((road, mishap?.clone())))
                .collect(),
        }
    }

    /// Its mishaps.
    pub fn mishaps(&self) -> &[(Road, Mishap)] {
        &self.mishaps
    }

    fn on(&self, road: Road) -> Option<&Mishap> {
        let found = self.mishaps.iter().find(|(on, _)| *on == road);
        found.map(|(_, mishap)| mishap)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (road, (point, trouble)) in self.mishaps() {
            write!(f, "[{road:?}: {trouble:?} after {point}]")?;
        }
        Ok(())
    }
}

/// What a life has shown.
#[derive(Debug, Default)]
pub struct Story {
    /// Calls of the creation.
    pub create: Vec<Point>,
    /// Calls of the change.
    pub change: Vec<Point>,
    /// Calls of the deletion.
    pub delete: Vec<Point>,
    /// Mishaps that happened.
    pub met: BTreeSet<(Road, Mishap)>,
    /// How long the parts of the life took.
    pub times: Vec<(&'static str, Duration)>,
}

impl Story {
    fn took(&mut self, part: &'static str, begun: Instant) {
        self.times.push((part, begun.elapsed()));
    }
}

/// Waits until the wire is touched or the road has come to its end. The end may be seen before the answer to the
/// write that made it, so that the wire is given a last moment then.
async fn either(
    mut touched: Touched,
    end: impl Future<Output = Result<(), String>>,
) -> Result<Option<oneshot::Sender<()>>, String> {
    tokio::select! {
        hit = &mut touched => return Ok(hit.ok()),
        ended = end => ended?,
    }
    Ok(timeout(LAST_MOMENT, touched).await.ok().and_then(Result::ok))
}

struct Life<'a, L: Living> {
    place: &'a mut Place<L>,
    name: &'a str,
    neighbours: L::Neighbours,
    running: Option<Running>,
    /// Its roads are to be learned: nothing happens on them.
    calm: bool,
    story: Story,
}

/// Lives one life.
pub async fn live<L: Living>(place: &mut Place<L>, name: &str, case: &Case) -> Result<Story, String> {
    let neighbours = place.living.move_in(&place.world, name);
    let begun = Instant::now();
    let running = place.start_settled().await?;
    let mut life = Life {
        place,
        name,
        neighbours,
        running: Some(running),
        calm: case.mishaps().is_empty(),
        story: Story::default(),
    };
    life.story.took("start", begun);
    match (case.on(Road::Cut), case.on(Road::CutChange)) {
        (Some(mishap), _) => life.cut_short(Road::Cut, mishap).await?,
        (_, Some(mishap)) => {
            life.create(None).await?;
            life.cut_short(Road::CutChange, mishap).await?;
        }
        (None, None) => life.whole(case).await?,
    }
    let begun = Instant::now();
    let (living, world) = (&life.place.living, &life.place.world);
    living.nothing_left(world, &life.neighbours, name).await?;
    life.kill();
    life.story.took("end", begun);
    life.place.living.move_out(&life.place.world, &life.neighbours);
    Ok(life.story)
}

impl<L: Living> Life<'_, L> {
    fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Counts from here, with the mishap armed if there is one.
    fn arm(&self, mishap: Option<&Mishap>) -> Option<Touched> {
        match mishap {
            Some((point, trouble)) => Some(self.place.wire.begin_armed(self.name, point, *trouble)),
            None => {
                self.place.wire.begin(self.name);
                None
            }
        }
    }

    async fn apply(&self, changed: bool) -> Result<(), String> {
        let world = &self.place.world;
        let manifest = self.place.living.manifest(world, self.name, changed);
        let (params, patch) = (PatchParams::apply("test").force(), Patch::Apply(&manifest));
        let applied = objects::<L>(world).patch(self.name, &params, &patch).await;
        applied.map(drop).map_err(|error| error.to_string())
    }

    async fn ask_for_deletion(&mut self) -> Result<(), String> {
        let (living, world) = (&self.place.living, &self.place.world);
        living.leave(world, &mut self.neighbours);
        let asked = objects::<L>(world).delete(self.name, &Default::default()).await;
        asked.map(drop).map_err(|error| error.to_string())
    }

    async fn wait_arrived(&self, changed: bool) -> Result<(), String> {
        let living = &self.place.living;
        let generation = Some(1 + i64::from(changed));
        let arrived = |object: Option<&L::Object>| {
            object.is_some_and(|object| {
                living.has_arrived(object, changed) && object.meta().generation >= generation
            })
        };
        self.place.wait_until(self.name, "as asked", arrived).await?;
        living.settles(&self.place.world, false).await
    }

    async fn wait_gone(&self) -> Result<(), String> {
        self.place.wait_until(self.name, "gone", is_gone).await?;
        self.place.living.settles(&self.place.world, true).await
    }

    /// From nothing to nothing.
    async fn whole(&mut self, case: &Case) -> Result<(), String> {
        let begun = Instant::now();
        self.create(case.on(Road::Create)).await?;
        self.story.took("create", begun);
        let begun = Instant::now();
        self.rests_after_restart(false).await?;
        self.story.took("restart", begun);
        if self.place.living.changes() {
            let begun = Instant::now();
            self.change(case.on(Road::Change)).await?;
            self.story.took("change", begun);
            let begun = Instant::now();
            self.rests_after_restart(true).await?;
            self.story.took("restart", begun);
        }
        let begun = Instant::now();
        self.delete(case.on(Road::Delete)).await?;
        self.story.took("delete", begun);
        Ok(())
    }

    async fn create(&mut self, mishap: Option<&Mishap>) -> Result<(), String> {
        let touched = self.arm(mishap);
        self.apply(false).await?;
        if let (Some(mishap), Some(touched)) = (mishap, touched) {
            let met = either(touched, self.wait_arrived(false)).await?.is_some();
            self.note(Road::Create, mishap, met).await;
        }
        self.place.living.ripen(&self.place.world, self.name).await;
        self.wait_arrived(false).await?;
        self.story.create = self.learned().await;
        self.is_whole(false).await
    }

    /// What somebody else puts in meanwhile stays as it is.
    async fn change(&mut self, mishap: Option<&Mishap>) -> Result<(), String> {
        let (living, world) = (&self.place.living, &self.place.world);
        living.intrude(world, &mut self.neighbours, self.name);
        let touched = self.arm(mishap);
        self.apply(true).await?;
        if let (Some(mishap), Some(touched)) = (mishap, touched) {
            let met = either(touched, self.wait_arrived(true)).await?.is_some();
            self.note(Road::Change, mishap, met).await;
        }
        self.wait_arrived(true).await?;
        self.story.change = self.learned().await;
        self.is_whole(true).await
    }

    async fn delete(&mut self, mishap: Option<&Mishap>) -> Result<(), String> {
        let touched = self.arm(mishap);
        self.ask_for_deletion().await?;
        if let (Some(mishap), Some(touched)) = (mishap, touched) {
            let met = either(touched, self.wait_gone()).await?.is_some();
            self.note(Road::Delete, mishap, met).await;
        }
        self.wait_gone().await?;
        self.story.delete = self.learned().await;
        Ok(())
    }

    /// Deletion in the middle of the creation or of the change.
    async fn cut_short(&mut self, road: Road, mishap: &Mishap) -> Result<(), String> {
        let begun = Instant::now();
        let changed = road == Road::CutChange;
        if changed {
            let (living, world) = (&self.place.living, &self.place.world);
            living.intrude(world, &mut self.neighbours, self.name);
        }
        let touched = self.arm(Some(mishap));
        self.apply(changed).await?;
        let release = match touched {
            None => None,
            Some(touched) => either(touched, self.wait_arrived(changed)).await?,
        };
        if release.is_some() {
            self.story.met.insert((road, mishap.clone()));
        }
        let dies = release.is_some() && mishap.1 == Trouble::Crash;
        if dies {
            self.kill();
        }
        self.ask_for_deletion().await?;
        drop(release);
        if dies {
            self.running = Some(self.place.start().await);
        }
        self.wait_gone().await?;
        self.story.took("cut", begun);
        Ok(())
    }

    /// After a crash a new operator takes over.
    async fn note(&mut self, road: Road, mishap: &Mishap, met: bool) {
        if !met {
            return;
        }
        self.story.met.insert((road, mishap.clone()));
        if mishap.1 == Trouble::CrashLater {
            tokio::time::sleep(LATER).await;
        }
        if matches!(mishap.1, Trouble::Crash | Trouble::CrashLater) {
            self.kill();
            self.running = Some(self.place.start().await);
        }
    }

    /// The calls of a road that has come to its end. The end beside it may be seen before the call that made it.
    async fn learned(&self) -> Vec<Point> {
        if self.calm && !L::BESIDE.is_empty() {
            self.place.quiet().await;
        }
        self.place.wire.points()
    }

    async fn is_whole(&self, changed: bool) -> Result<(), String> {
        let object = self.place.object(self.name).ok_or("the object is gone")?;
        let (living, world) = (&self.place.living, &self.place.world);
        living.whole(world, &self.neighbours, &object, changed).await
    }

    /// A restarted operator finds what is Ready as it shall be and writes nothing, neither here nor outside.
    async fn rests_after_restart(&mut self, changed: bool) -> Result<(), String> {
        let begun = Instant::now();
        if let Some(running) = self.running.take() {
            running.operator.stop().await;
        }
        self.story.took("stop", begun);
        let before = self.version().await?;
        let running = self.place.start_settled().await?;
        // What a Provider says of its latency on a busy machine is not the object's.
        let mut writes = running.gate.writes();
        writes.retain(|write| !write.contains(" providers"));
        let outside: Vec<String> = self
            .place
            .wire
            .turns()
            .into_keys()
            .filter(|call| is_write(call))
            // The last event of the operator before may still be on its way; the gate of this one counts its own.
            .filter(|call| !call.starts_with(SERVICE))
            .collect();
        let after = self.version().await?;
        self.running = Some(running);
        if !writes.is_empty() || !outside.is_empty() || before != after {
            return Err(format!(
                "a restart over a Ready object wrote {writes:?} and called {outside:?}; version {before:?}, then {after:?}"
            ));
        }
        self.is_whole(changed).await
    }

    /// The object's version as the server has it: the watch may not have shown yet what a stopping operator wrote.
    async fn version(&self) -> Result<Option<String>, String> {
        let object = objects::<L>(&self.place.world).get(self.name).await;
        let object = object.map_err(|error| error.to_string())?;
        Ok(object.resource_version())
    }
}
