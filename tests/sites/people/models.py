"""User models of every kind that sites have; a settings module picks one of them."""

# ruff: noqa: DJ008 - never displayed

import uuid

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models

# 63 bytes each, the most that PostgreSQL takes. Django's indexes cannot cope with such a table's name beyond ASCII.
LONG = "é" * 31 + "x"
LONG_TABLE = "M" * 63


class Member(AbstractBaseUser):
    username = models.CharField(max_length=100, unique=True)
    USERNAME_FIELD = "username"
    objects = BaseUserManager()

    class Meta:
        abstract = True


class UuidKey(Member):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    badges = models.TextField(default="of their own")


class TextKey(Member):
    handle = models.CharField(primary_key=True, max_length=30, default='it\'s \\ "ada" {x} %s')


class OtherTable(Member):
    class Meta:
        db_table = "members"


class OtherSchema(Member):
    class Meta:
        db_table = '"people"."member"'


class MixedCase(Member):
    id = models.BigAutoField(primary_key=True, db_column="Member Id")

    class Meta:
        db_table = "All Members"


class LongNames(Member):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, db_column=LONG)

    class Meta:
        db_table = LONG_TABLE


class Person(models.Model):
    name = models.CharField(max_length=100)


class OneToOneKey(Member):
    person = models.OneToOneField(Person, on_delete=models.CASCADE, primary_key=True)


class EmailOnly(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    email = models.EmailField(unique=True)
    is_staff = True
    USERNAME_FIELD = "email"
    objects = BaseUserManager()

    def __str__(self):
        return self.email


class Post(models.Model):
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_column="Author Id")
    title = models.TextField(db_column="Title")

    class Meta:
        db_table = "Blog Posts"


class LongPost(models.Model):
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_column=LONG, related_name="+", db_index=False
    )
    title = models.TextField(db_column="t" * 63)

    class Meta:
        db_table = "p" * 63
