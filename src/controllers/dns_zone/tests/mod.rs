//! The planner of a zone on tables.
