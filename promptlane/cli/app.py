"""The command line: names, arguments and help of every command. What a command does is in the modules it loads."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from . import arguments
from .group import Group
from .session import Session


def _note_json(ctx: typer.Context, value: bool) -> bool:
    session: Session = ctx.find_root().obj or Session()
    session.settings["json"] = value
    return value


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.", callback=_note_json)]
Prompt = Annotated[str, typer.Argument(help="Name, id or ARN of the prompt.", show_default=False)]
Release = Annotated[
    str, typer.Argument(help="A release id, or a prompt whose release is in flight.", show_default=False)
]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; it is kept in the timeline.", show_default=False)]

app = typer.Typer(
    name="promptlane",
    help="Releases Amazon Bedrock prompts: tests, review, canary, instant rollback, audit.",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def run() -> int:
    """Run the command line of this process; the exit code."""
    from .streams import print_anything

    print_anything()
    if region := os.environ.get("AWS_REGION"):
        os.environ["AWS_DEFAULT_REGION"] = region  # the only one that boto3 reads; the AWS CLI and the CDK take either
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"promptlane {version('promptlane')}\n")
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    # Also makes typer keep commands apart while there is only one.
    ctx.obj = ctx.obj or Session()


@app.command()
def publish(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Folder that holds prompt.yaml.", show_default=False)],
    message: Annotated[str, typer.Option("--message", "-m", help="Why this version; reviewers read it.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a draft that was edited elsewhere.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write prompt.yaml to Bedrock's draft, and publish a version if its content changed."""
    from .authoring import publish

    publish(ctx.obj, directory, message=message, force=force, as_json=as_json)


@app.command("init")
def init_prompt(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the new prompt.", show_default=False)],
    to: Annotated[Path, typer.Option(help="Folder in which the prompt's own folder is made.")] = Path("prompts"),
    model: Annotated[str, typer.Option(help="Model id.")] = "amazon.nova-lite-v1:0",
    as_json: AsJson = False,
) -> None:
    """Make the folder of a new prompt: prompt.yaml, release.yaml and suite.yaml that can be released as they are."""
    from .scaffolding import init

    init(ctx.obj, name, folder=to, model=model, as_json=as_json)


@app.command()
def versions(ctx: typer.Context, prompt: Prompt, as_json: AsJson = False) -> None:
    """List the versions of a prompt, who gets them, and what became of their releases."""
    from .versions import versions

    versions(ctx.obj, prompt, as_json=as_json)


@app.command()
def diff(
    ctx: typer.Context,
    prompt: Prompt,
    old: Annotated[str, typer.Argument(help="Version number, `stable` or `draft`.")] = "stable",
    new: Annotated[str, typer.Argument(help="Version number, `newest`, `stable` or `draft`.")] = "newest",
    as_json: AsJson = False,
) -> None:
    """Show what changed between two versions, over everything that the fingerprint covers."""
    from .authoring import diff

    diff(ctx.obj, prompt, old, new, as_json=as_json)


@app.command("test")
def run_tests(
    ctx: typer.Context,
    directory: Annotated[Path, typer.Argument(help="Folder of a prompt, with its suite.yaml.", show_default=False)],
    against: Annotated[str | None, typer.Option(help="Version to compare with: a number, or `stable`.")] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(help="One more side: a model id, a version, `stable`; may be given several times."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where the report goes [test-results/<prompt>].")] = None,
    repeats: Annotated[int | None, typer.Option(help="Runs of each case and side.", min=1, max=20)] = None,
    concurrency: Annotated[int | None, typer.Option(help="Calls in flight at once.", min=1, max=512)] = None,
    as_json: AsJson = False,
) -> None:
    """Run a folder's regression tests here. Exit code 0: pass, 1: fail, 2: inconclusive, 3: could not run."""
    from .comparing import compare_sides
    from .test import run_suite

    run = partial(compare_sides, sides=compare) if compare else run_suite
    code = run(
        ctx.obj, directory, against=against, output=output, repeats=repeats, concurrency=concurrency, as_json=as_json
    )
    raise typer.Exit(code)


@app.command("import")
def import_file(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="A promptfoo configuration in YAML or JSON, or its folder.")],
    to: Annotated[Path | None, typer.Option(help="Folder of the prompt [the configuration's].")] = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Folder above that also holds its cases [the configuration's]."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a suite.yaml that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make suite.yaml of what carries over of a promptfoo configuration, and a list of what does not, and why."""
    from .importing import import_file

    import_file(ctx.obj, file, to=to, root=root, force=force, as_json=as_json)


@app.command()
def agreement(
    ctx: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(help="Folder of a prompt, whose policy names the models.", show_default=False)
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(help="Judge model to measure, instead of the policy's; may be given several times."),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Your own labelled rows [a set that comes along].")] = None,
    output: Annotated[Path | None, typer.Option(help="Also write the JSON document to this file.")] = None,
    concurrency: Annotated[int, typer.Option(help="Calls in flight at once.", min=1, max=64)] = 8,
    as_json: AsJson = False,
) -> None:
    """How often a judge model agrees with people, over labelled answers. Exit code 0: measured, 3: could not."""
    from .agreement import agreement

    raise typer.Exit(
        agreement(
            ctx.obj, directory, judges=judge, labels=labels, output=output, concurrency=concurrency, as_json=as_json
        )
    )


@app.command()
def release(
    ctx: typer.Context,
    prompt: Prompt,
    version: Annotated[
        int, typer.Argument(help="The version to release.", parser=arguments.version, show_default=False)
    ],
    again: Annotated[bool, typer.Option("--again", help="Release a version although it was rolled back.")] = False,
    wait: Annotated[
        float, typer.Option(help="Seconds to wait for the release to start.", parser=arguments.seconds(0, 86_400))
    ] = 30,
    as_json: AsJson = False,
) -> None:
    """Ask for a release of a version: tests, review, canary, promotion."""
    from .releasing import release

    release(ctx.obj, prompt, version, again=again, wait=wait, as_json=as_json)


@app.command()
def status(
    ctx: typer.Context,
    prompt: Annotated[str, typer.Argument(help="A prompt; all enrolled ones without it.", show_default=False)] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Keep showing it until the release ends.")] = False,
    every: Annotated[
        float, typer.Option(help="Seconds between two looks with --watch.", parser=arguments.seconds(0.2, 3_600))
    ] = 2,
    as_json: AsJson = False,
) -> None:
    """Who gets which version, and where the release in flight stands."""
    from .watching import status

    status(ctx.obj, prompt, watch=watch, every=every, as_json=as_json)


@app.command()
def history(
    ctx: typer.Context,
    subject: Annotated[str, typer.Argument(help="A prompt, or a release id.", show_default=False)],
    verify: Annotated[bool, typer.Option("--verify", help="Check that no entry was altered or left out.")] = False,
    as_json: AsJson = False,
) -> None:
    """All releases of a prompt, or the timeline of one release: who, what, when, why."""
    from .watching import history

    history(ctx.obj, subject, verify=verify, as_json=as_json)


@app.command()
def approve(
    ctx: typer.Context,
    subject: Release,
    reason: Reason,
    fingerprint: Annotated[
        str, typer.Option(help="Of the version that you read, 12 digits or more; without it you are shown all of it.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Approve a release as the IAM identity that you are signed in with."""
    from .deciding import approve

    approve(ctx.obj, subject, reason=reason, fingerprint=fingerprint, as_json=as_json)


_BY_PEOPLE = {
    "reject": "Reject a release as the IAM identity that you are signed in with.",
    "pause": "Hold a canary where it is. Alarms and judge still roll back.",
    "resume": "Let a paused canary go on.",
    "advance": "Move a canary to its next step without waiting for the judge; recorded with your name.",
}


def _by_people(verb: str, explained: str) -> None:
    """Make a command by which somebody decides over a release, or operates its canary."""

    @app.command(verb, help=explained)
    def command(ctx: typer.Context, subject: Release, reason: Reason, as_json: AsJson = False) -> None:
        from .deciding import decide

        decide(ctx.obj, subject, verb, reason=reason, as_json=as_json)


for _verb, _explained in _BY_PEOPLE.items():
    _by_people(_verb, _explained)


@app.command()
def judge(
    ctx: typer.Context,
    release: Annotated[str, typer.Option("--replay", help="Id of the release to judge again.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Judge every look of a past release again from its stored counts; fails when one comes out otherwise."""
    from .judge import replay_release

    replay_release(ctx.obj, release, as_json=as_json)


@app.command()
def rollback(
    ctx: typer.Context,
    prompt: Prompt,
    reason: Reason,
    to: Annotated[
        int | None,
        typer.Option(parser=arguments.version, help="Go back to this version, one that was promoted before."),
    ] = None,
    function: Annotated[
        str, typer.Option(help="Name or ARN of the roll_back function: asks nothing else of the deployment.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Put the safe version back, now: the canary goes, or the version before is restored."""
    from .deciding import rollback

    rollback(ctx.obj, prompt, reason=reason, to=to, function=function, as_json=as_json)


@app.command()
def drill(
    ctx: typer.Context,
    prompt: Prompt,
    last: Annotated[bool, typer.Option("--last", help="Show the last drill, and make none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Prove the way back: an alarm, CloudWatch, SNS, roll_back, all but the write. Moves no traffic."""
    from .drilling import drill

    drill(ctx.obj, prompt, last=last, as_json=as_json)


reviewers = typer.Typer(help="Reviewers and the subscriptions by which email reaches them.")
app.add_typer(reviewers, name="reviewers")
Person = Annotated[
    str, typer.Argument(help="Name or address of a reviewer, or an address on call.", show_default=False)
]


@reviewers.callback(invoke_without_command=True)
def reviewers_all(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Whom the deployment mails, and whether email arrives."""
    if ctx.invoked_subcommand is None:
        reviewers_list(ctx, as_json=as_json)


@reviewers.command("list")
def reviewers_list(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Every reviewer, and whether email arrives: pending, missing and unexpected subscriptions stand out."""
    from .reviewers import reviewers_list

    reviewers_list(ctx.obj, as_json=as_json)


@reviewers.command("confirm")
def reviewers_confirm(
    ctx: typer.Context,
    who: Person,
    link: Annotated[str, typer.Argument(help="The link in SNS's email, unopened, or its Token.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Confirm a subscription so that only somebody with AWS credentials can unsubscribe it."""
    from .reviewers import reviewers_confirm

    reviewers_confirm(ctx.obj, who, link, as_json=as_json)


@reviewers.command("subscribe")
def reviewers_subscribe(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Names or addresses [everybody who has not confirmed].", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Have SNS ask them again to confirm: it deletes what is not confirmed within 48 hours."""
    from .reviewers import reviewers_subscribe

    if code := reviewers_subscribe(ctx.obj, names or [], as_json=as_json):
        raise typer.Exit(code)


@app.command()
def record(
    ctx: typer.Context,
    subject: Release,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write the document to.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Check a file that --out wrote, without AWS.")] = False,
    as_json: AsJson = False,
) -> None:
    """One JSON document for an auditor: what reviewers were shown, who decided what, the whole timeline, and proof."""
    from .review import check_file, record

    if check:
        check_file(ctx.obj, Path(subject), as_json=as_json)
    else:
        record(ctx.obj, subject, out, as_json=as_json)


@app.command()
def investigate(
    ctx: typer.Context,
    prompt: Prompt,
    since: Annotated[str, typer.Option(help="2h (ago), 14:00 (UTC), or an ISO time [a day before the end].")] = "",
    until: Annotated[str, typer.Option(help="The same [now].")] = "",
    html: Annotated[Path | None, typer.Option(help="Also write a self-contained report to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """What changed, who did it, what it did to users, and the command that ends it."""
    from .investigate import investigate

    investigate(ctx.obj, prompt, since=since, until=until, html=html, as_json=as_json)


@app.command()
def doctor(
    ctx: typer.Context,
    only: Annotated[list[str] | None, typer.Option(help="Run this check alone; may be given several times.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Also what makes something for a moment and deletes it again.")
    ] = False,
    permissions: Annotated[
        bool, typer.Option("--permissions", help="Print the IAM policy that the checks need, and look at nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What is wrong with the deployment or its account, and what to do. Exit code 0: nothing, 1: something is wrong."""
    from .doctor import doctor

    raise typer.Exit(doctor(ctx.obj, only=only or (), write=write, permissions=permissions, as_json=as_json))


@app.command()
def restore(
    ctx: typer.Context,
    prompt: Prompt,
    version: Annotated[int, typer.Argument(help="The archived version.", parser=arguments.version, show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Publish an archived version again, with the same fingerprint; a release of it takes `promptlane release`."""
    from .restoring import restore

    restore(ctx.obj, prompt, version, as_json=as_json)
