# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
SHELL := bash
PYTHON ?= python3
# ROS=jazzy: that distribution's wheels, in .jazzy. Empty: the sourced ROS installation, or else
# Kilted's wheels.
ROS =
WORKSPACE := $(if $(filter-out kilted,$(ROS)),.$(ROS),.)
# Runs its arguments in a shell with the virtual environment and both packages.
# With Fast DDS's own defaults, best-effort subscribers lose most images of ordinary size.
IN_WORKSPACE := bash -c '. $(WORKSPACE)/.venv/bin/activate && . $(WORKSPACE)/install/setup.bash && \
	eval "$$(python -m tools.transport)" && exec "$$@"' --

.PHONY: help setup demo demo-console verify-demo test lint docs bench accuracy soak faults fuzz clean clean-all

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup:  ## make .venv and build both packages; does nothing the second time
	@$(PYTHON) -m tools.set_up $(ROS)

demo: setup  ## track a man, a bag and a bollard in a real video; leaves demo_output/
	@$(IN_WORKSPACE) python -m demo.fetch_clip
	@$(IN_WORKSPACE) python -m demo.run

demo-console: setup  ## point at things in a real video from a browser, until Ctrl-C
	@$(IN_WORKSPACE) python -m demo.fetch_clip
	@$(IN_WORKSPACE) python -m demo.console

verify-demo: setup  ## compare the demo's masks with stock SAM 2's on the same frames
	@$(IN_WORKSPACE) python -m demo.verify

test: setup  ## run every test that this machine can run; ROS=jazzy: those of ROS, with its wheels
	-@$(IN_WORKSPACE) python -m demo.fetch_clip
	@WORKSPACE=$(WORKSPACE) tools/run_tests

lint: setup  ## ruff, flake8 as ament_flake8 runs it, mypy, hadolint
	@$(IN_WORKSPACE) tools/run_lint

docs: setup  ## write config/tracker.yaml and README's table of parameters from the settings
	@$(IN_WORKSPACE) python -m tools.docs

bench: setup  ## measure speed; writes benchmarks/results/
	@$(IN_WORKSPACE) python -m benchmarks

accuracy: setup  ## measure accuracy against the last committed figures
	@$(IN_WORKSPACE) python -m benchmarks.accuracy --check

soak: setup  ## run the node with everything at once for MINUTES (10), against bounds
	@$(IN_WORKSPACE) python -m reliability.soak --minutes $(or $(MINUTES),10)

faults: setup  ## play every fault that this machine can; disks want root
	@$(IN_WORKSPACE) python -m reliability.faults

fuzz: setup  ## feed changed inputs for SECONDS (60)
	@$(IN_WORKSPACE) python -m reliability.fuzz --seconds $(or $(SECONDS),60)

clean:  ## remove what was built and what the demo left
	rm -rf build install log demo_output .jazzy/{build,install,log}

clean-all: clean  ## remove the virtual environment too
	rm -rf .venv .jazzy
