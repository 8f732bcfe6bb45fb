#!/usr/bin/env bash
# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0
# Runs its arguments with ROS, the virtual environment and both packages.
set -e
workspace=$(dirname "$0")/..
. "/opt/ros/$ROS_DISTRO/setup.bash"
. "$workspace/.venv/bin/activate"
. "$workspace/install/setup.bash"
exec "$@"
