//! The suite: everything that is tested over real connections, as one program so that it links once.

mod installer;
