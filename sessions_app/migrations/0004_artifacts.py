"""Artifacts with a folder for each session, archives in files, and where a step was caused."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models.lookups import IsNull

from sessions_app.models.events import AboutPost, AboutStory


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0003_the_chain"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Artifact",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "category",
                    models.CharField(
                        choices=[
                            ("logs", "Logs"),
                            ("recordings", "Recordings"),
                            ("screenshots", "Screenshots"),
                            ("devtools", "Devtools"),
                            ("files", "Files"),
                            ("archive", "Archive"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "being written"),
                            ("ready", "Ready"),
                            ("dropped", "Dropped"),
                        ],
                        default="ready",
                        max_length=8,
                    ),
                ),
                ("name", models.CharField(max_length=160)),
                (
                    "path",
                    models.CharField(
                        help_text="Relative to the data folder.", max_length=400, unique=True
                    ),
                ),
                (
                    "media_type",
                    models.CharField(default="application/octet-stream", max_length=80),
                ),
                ("bytes", models.PositiveBigIntegerField(default=0)),
                (
                    "sha256",
                    models.CharField(
                        blank=True, help_text="Empty while it is written.", max_length=64
                    ),
                ),
                ("note", models.CharField(blank=True, max_length=300)),
                (
                    "made_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "session",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="sessions_app.session"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["session", "category", "-id"], name="artifact_newest")
                ],
            },
        ),
        migrations.RenameModel(old_name="TransitionArchive", new_name="Archive"),
        migrations.RemoveConstraint(model_name="archive", name="transition_archive_once"),
        migrations.RemoveIndex(model_name="archive", name="transition_archive_newest"),
        migrations.AddField(
            model_name="archive",
            name="kind",
            field=models.CharField(
                choices=[("events", "Events"), ("transitions", "Transitions")],
                default="transitions",
                max_length=12,
            ),
        ),
        migrations.AddField(
            model_name="archive",
            name="artifact",
            field=models.OneToOneField(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="archive",
                to="sessions_app.artifact",
            ),
        ),
        migrations.AlterField(
            model_name="archive", name="packed", field=models.BinaryField(blank=True, null=True)
        ),
        migrations.AlterField(
            model_name="archive",
            name="first",
            field=models.BigIntegerField(help_text="Seq or id of the oldest."),
        ),
        migrations.AlterField(
            model_name="archive",
            name="last",
            field=models.BigIntegerField(help_text="Seq or id of the newest."),
        ),
        migrations.AlterField(
            model_name="archive",
            name="joined",
            field=models.PositiveIntegerField(
                default=0, help_text="Transitions other than recoveries."
            ),
        ),
        migrations.AddConstraint(
            model_name="archive",
            constraint=models.UniqueConstraint(
                fields=("session", "kind", "first"), name="archive_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="archive",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("packed__isnull", False), ("artifact__isnull", False), _connector="OR"
                ),
                name="archive_has_content",
            ),
        ),
        migrations.AddIndex(
            model_name="archive",
            index=models.Index(fields=["session", "kind", "-last"], name="archive_newest"),
        ),
        migrations.AddField(
            model_name="session",
            name="folder",
            field=models.CharField(
                blank=True,
                editable=False,
                help_text="Name of its folder of artifacts; renaming the session does not change it.",
                max_length=120,
            ),
        ),
        migrations.AddField(
            model_name="session",
            name="imported_id",
            field=models.CharField(
                blank=True,
                editable=False,
                help_text="Its id in the export, so that importing it again creates no second session.",
                max_length=120,
            ),
        ),
        migrations.AddField(
            model_name="session",
            name="made_from",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="copies",
                to="sessions_app.session",
            ),
        ),
        migrations.AddConstraint(
            model_name="session",
            constraint=models.UniqueConstraint(
                condition=models.Q(("folder", ""), _negated=True),
                fields=("folder",),
                name="session_folder_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="session",
            constraint=models.UniqueConstraint(
                condition=models.Q(("imported_id", ""), _negated=True),
                fields=("owner", "imported_id"),
                name="session_imported_once",
            ),
        ),
        migrations.AddField(
            model_name="step",
            name="origin",
            field=models.JSONField(
                editable=False,
                help_text="Its cause, for logs: request, user, operation and trace.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="workspace",
            name="artifact_quota_mb",
            field=models.PositiveIntegerField(
                default=2048,
                help_text="Megabytes that the artifacts of one session may take.",
                validators=[
                    django.core.validators.MinValueValidator(10),
                    django.core.validators.MaxValueValidator(1000000),
                ],
            ),
        ),
        migrations.AddField(
            model_name="workspace",
            name="keep_events_days",
            field=models.PositiveIntegerField(
                default=90,
                help_text="Days until events of sessions are archived.",
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(3650),
                ],
            ),
        ),
        migrations.AddIndex(
            model_name="sessionevent",
            index=models.Index(
                models.F("session"),
                AboutStory("payload"),
                condition=models.Q(IsNull(AboutStory("payload"), False)),
                name="event_of_story",
            ),
        ),
        migrations.AddIndex(
            model_name="sessionevent",
            index=models.Index(
                models.F("session"),
                AboutPost("payload"),
                condition=models.Q(IsNull(AboutPost("payload"), False)),
                name="event_of_post",
            ),
        ),
        migrations.AddIndex(
            model_name="step",
            index=models.Index(fields=["kind", "subject"], name="step_by_subject"),
        ),
    ]
