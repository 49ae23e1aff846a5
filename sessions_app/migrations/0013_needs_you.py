from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("sessions_app", "0012_step_task"),
    ]

    operations = [
        migrations.AddField(
            model_name="preferences",
            name="needs_sound",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="A sound when something new needs the user.",
            ),
        ),
        migrations.AddField(
            model_name="preferences",
            name="needs_sent",
            field=models.JSONField(
                blank=True,
                db_default=models.Value("{}"),
                default=dict,
                help_text="Which needs the webhook was sent, by session.",
            ),
        ),
        migrations.AlterField(
            model_name="sealedkey",
            name="service",
            field=models.CharField(
                choices=[
                    ("anthropic", "Anthropic"),
                    ("reddit", "Reddit"),
                    ("webhook", "webhook"),
                ],
                max_length=12,
            ),
        ),
    ]
