"""Rules of the house that no tool knows: sizes, words, mirrors, links, records."""
