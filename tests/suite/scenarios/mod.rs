//! What happens to sites when something is missing, in the way, broken, paused or taken away: on the real API
//! server, with all back-ends simulated.

mod adoption;
mod asked_passes;
mod conflicts;
mod crowd;
mod day_two;
mod deletions;
mod domains;
mod golden_template;
mod high_availability;
mod lost_containers;
mod lost_status;
mod outages;
mod pauses;
mod provider_health;
mod random_walks;
mod refused_references;
mod refused_releases;
mod refused_resources;
mod restarts;
mod secrecy;
