# Copyright 2026 The sam2_tracker authors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of results: overlays, colour by object id, contact sheets. Free of ROS and torch."""
