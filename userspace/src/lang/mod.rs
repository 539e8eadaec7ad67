//! TEXT → MODEL: the configuration language.
