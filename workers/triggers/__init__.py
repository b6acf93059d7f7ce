"""*When* as a replaceable part: what makes slots fire."""
