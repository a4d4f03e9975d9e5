"""Promptlane: releases prompts with the discipline of releasing code."""
