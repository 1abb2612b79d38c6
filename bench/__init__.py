"""The figures are measured by `carillon.runtime.bench`; see README.md."""
