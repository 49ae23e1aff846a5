from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("broadcast", "0008_sound_times"),
    ]

    operations = [
        migrations.AddField(
            model_name="broadcast",
            name="peak_audience",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="The most viewers and listeners at a time.",
            ),
        ),
    ]
