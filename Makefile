# Names for the tasks; what they do stands in scripts/, CMakePresets.json and tests/.

PREFIX ?= /usr/local

.PHONY: all demo test sanitize fuzz differential bench lint coverage install format clean

all:
	scripts/build release

demo:
	scripts/install-deps demo
	scripts/demo

test:
	scripts/install-deps test
	scripts/build dev
	scripts/run-tests dev

sanitize:
	scripts/install-deps test
	scripts/sanitize

fuzz:
	scripts/install-deps test
	scripts/fuzz

differential:
	scripts/install-deps test
	scripts/differential

bench:
	scripts/install-deps bench
	scripts/bench

lint:
	scripts/install-deps test
	scripts/build dev
	scripts/run-tests dev -L lint
	scripts/tidy

coverage:
	scripts/install-deps test
	scripts/coverage

install:
	scripts/install-deps build
	scripts/install "$(PREFIX)"

format:
	scripts/format

clean:
	rm -rf build
