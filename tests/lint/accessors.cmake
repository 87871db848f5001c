# The header language costs nothing: compares compiled accessors with hand-written ones.
fastudp_lint(accessors ARGS ${PROJECT_SOURCE_DIR}/core)
