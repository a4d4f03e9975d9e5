"""The CDK app: `npx cdk synth`. Needs no credentials and calls no AWS; packages come from the package index."""

import os
import sys
from pathlib import Path

from aws_cdk import App

from infra.application import add_prompt, add_stacks, synth
from infra.config import ConfigError, read_config, settings_of
from infra.packaging import PackagingError
from promptlane.domain.errors import InvalidInput

ROOT = Path(__file__).resolve().parent


def main() -> None:
    app = App()
    try:
        # The CDK CLI says where it deploys; a synth without credentials may say it by the setting.
        where = {"promptlane:region": region} if (region := os.environ.get("CDK_DEFAULT_REGION")) else {}
        config = read_config({**settings_of(os.environ), **app.node.get_all_context(), **where}, root=ROOT)
        if config.only:
            add_prompt(app, config=config)
        else:
            add_stacks(app, config=config)
        synth(app)
    except (ConfigError, PackagingError, InvalidInput) as error:
        sys.exit(str(error))


main()
